"""Entry point of `tenuto`: commands that need no engine start without the libraries that talk to one.

`tenuto lint` runs in editors and before each commit, where a second of imports is felt. All commands stand in
`tenuto._cli.main`, which has the same functions behind the same names.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

import typer

# Command -> module; its function has the command's name.
LIGHT = {"lint": "tenuto._cli.lint"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process.

    Args:
        arguments: words after `tenuto`; None: those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in LIGHT:
        try:
            _light(words[0])(args=words, prog_name="tenuto")
        finally:
            if arguments is None:
                # The process ends: looking for garbage among its syntax trees once more costs a third of a run.
                gc.freeze()
    from tenuto._cli.main import main as run_all

    run_all(words)


def _light(name: str) -> typer.Typer:
    """The command line with one command."""
    from importlib import import_module

    app = typer.Typer(name="tenuto", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(_nothing)
    app.command(name)(getattr(import_module(LIGHT[name]), name))
    return app


def _nothing() -> None:
    """With a callback the command keeps its name in usage messages."""


if __name__ == "__main__":
    main()
