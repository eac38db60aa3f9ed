"""`python -m tenuto_engine.verify`, which `tenuto verify` starts: arguments, files, exit codes.

Exit codes: 0 nothing found; 1 something found; 2 it could not be read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import NoReturn

from tenuto_engine.ports.errors import EngineError
from tenuto_engine.storage.urls import open_audit
from tenuto_engine.verify.clients import Clients, read_log
from tenuto_engine.verify.ledger import Ledger, read_ledger
from tenuto_engine.verify.report import as_json, as_text
from tenuto_engine.verify.run import Plan, verify


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="tenuto verify",
        description="Read a state store, live or stopped, and prove its invariants; writes nothing.",
    )
    option = made.add_argument
    option(
        "--state-store", metavar="URL", required=True, help="sqlite:///path, redis://host:port/db, postgresql://host/db"
    )
    option("--app", metavar="NAME", default="default", help="name of the application (default: default)")
    option("--key-prefix", metavar="TEXT", default="tenuto", help="first part of every key (default: tenuto)")
    option("--output", choices=("table", "json"), default="table", help="how the report is written (default: table)")
    option("--client-log", metavar="FILE", type=Path, help="JSON lines: what clients were told")
    option("--ledger", metavar="FILE", type=Path, help="JSON lines: runs of activities that began")
    option("--lost-seconds", metavar="N", type=float, default=0.0, help="what may be lost before a death of the store")
    option("--settled", action="store_true", help="everything that can end has ended: nothing may be open")
    option("--no-plaintext", metavar="TEXT", default="", help="no record may show this text")
    return made


def _plan(given: argparse.Namespace) -> Plan:
    """Raises OSError, ValueError."""
    clients = ledger = None
    if given.client_log is not None:
        clients = Clients(read_log(given.client_log.read_bytes()), lost_ms=int(given.lost_seconds * 1000))
    if given.ledger is not None:
        ledger = Ledger(read_ledger(given.ledger.read_bytes()))
    return Plan(clients, ledger, settled=given.settled, plaintext=given.no_plaintext.encode())


def main() -> NoReturn:
    """Verify as the command line says, and exit the process."""
    given = parser().parse_args()
    try:
        store = open_audit(given.state_store, app=given.app, key_prefix=given.key_prefix)
        report = asyncio.run(verify(store, _plan(given)))
    except (EngineError, OSError, ValueError) as error:
        print(f"tenuto verify: {error}", file=sys.stderr)
        sys.exit(2)
    if given.output == "json":
        print(json.dumps(as_json(report), indent=2, ensure_ascii=False))
    else:
        print("\n".join(as_text(report)))
    sys.exit(1 if report.findings else 0)


if __name__ == "__main__":
    main()
