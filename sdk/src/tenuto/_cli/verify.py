"""`tenuto verify`: starts the engine's checker on a state store, and ends as it ends.

The SDK opens no store: the program is the engine's (`python -m tenuto_engine.verify`), as for `tenuto dev`.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from tenuto._cli.exits import Exit
from tenuto._cli.session import session_of


def verify(
    context: typer.Context,
    *,
    state_store: Annotated[
        str, typer.Option("--state-store", metavar="URL", envvar="TENUTO_STATE_STORE", help="The store to read.")
    ],
    app: Annotated[
        str, typer.Option("--app", metavar="NAME", envvar="TENUTO_APP", help="Whose state; default: default.")
    ] = "default",
    key_prefix: Annotated[
        str,
        typer.Option("--key-prefix", metavar="TEXT", envvar="TENUTO_KEY_PREFIX", help="First part of its keys."),
    ] = "tenuto",
    client_log: Annotated[
        Path | None, typer.Option("--client-log", metavar="FILE", help="What clients were told, as JSON lines.")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", metavar="FILE", help="What activities ran, as JSON lines.")
    ] = None,
    lost_seconds: Annotated[
        float, typer.Option("--lost-seconds", metavar="N", min=0, help="What each death of the store may have lost.")
    ] = 0.0,
    settled: Annotated[
        bool, typer.Option("--settled", help="Everything that can end has ended: nothing may be open.")
    ] = False,
    no_plaintext: Annotated[
        str, typer.Option("--no-plaintext", metavar="TEXT", help="No record may show this text.")
    ] = "",
) -> None:
    """Prove a state store's invariants, live or stopped, or name what breaks them; writes nothing.

    Exit codes: 0 nothing found; 1 something found; 2 it could not be read.
    """
    session = session_of(context)
    if importlib.util.find_spec("tenuto_engine") is None:
        session.stop("the engine is not installed here: pip install tenuto[engine]", Exit.USAGE)
    command = [sys.executable, "-m", "tenuto_engine.verify", "--state-store", state_store, "--app", app]
    command += ["--key-prefix", key_prefix, "--output", session.output.value, "--lost-seconds", f"{lost_seconds:g}"]
    command += ["--client-log", str(client_log)] if client_log is not None else []
    command += ["--ledger", str(ledger)] if ledger is not None else []
    command += ["--settled"] if settled else []
    command += [f"--no-plaintext={no_plaintext}"] if no_plaintext else []
    raise typer.Exit(subprocess.run(command, check=False).returncode)
