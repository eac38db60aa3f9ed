"""`python -m tenuto_engine.storage.postgres`: finish an upgrade, once no engine of the release before is left.

Engines apply by themselves what the release before can live with; this applies the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

import psycopg
from psycopg import AsyncConnection

from tenuto_engine.ports.errors import StoreRefused
from tenuto_engine.storage.postgres import layout
from tenuto_engine.storage.postgres.session import Target, connection_text, settings_of, target_of

_TIMEOUT_SECONDS = 10.0


async def finish(target: Target) -> int:
    """Apply all migrations and drop the functions of other releases; return the layout reached."""
    text = connection_text(target, timeout_s=_TIMEOUT_SECONDS)
    async with await AsyncConnection.connect(text, autocommit=True) as connection:
        await layout.apply_settings(connection, settings_of(target))
        return await layout.finish_upgrade(connection, target)


def main(arguments: Sequence[str]) -> str:
    """Return what is to be printed; exits with 2 for what an operator must change."""
    parser = argparse.ArgumentParser(prog="python -m tenuto_engine.storage.postgres", description=__doc__)
    env = os.environ
    parser.add_argument("--state-store", metavar="URL", default=env.get("TENUTO_STATE_STORE", ""))
    parser.add_argument("--app", default=env.get("TENUTO_APP", "default"))
    parser.add_argument("--key-prefix", default=env.get("TENUTO_KEY_PREFIX", "tenuto"))
    given = parser.parse_args(arguments)
    try:
        target = target_of(given.state_store, app=given.app, key_prefix=given.key_prefix, lease_ms=10_000)
        reached = asyncio.run(finish(target))
    except (StoreRefused, ValueError, psycopg.Error) as error:
        parser.exit(2, f"{error}\n")
    return f"schema {target.schema!r} has layout {reached}; releases that do not know it are refused from now on"


if __name__ == "__main__":
    sys.stdout.write(f"{main(sys.argv[1:])}\n")
