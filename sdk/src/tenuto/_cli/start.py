"""Entry point of `tenuto`: commands that need no engine start without the libraries that talk to one.

`tenuto lint` runs in editors and before each commit, where a second of imports is felt. All commands stand in
`tenuto._cli.main`, which has the same functions behind the same names.
"""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Sequence

import typer

# Command -> module; its function has the command's name.
LIGHT = {"lint": "tenuto._cli.lint"}
# Options that hold for every command may stand before it. A light one needs no engine: these two say nothing to it.
_OF_THE_ENGINE = frozenset({"--engine", "--token-file"})
_WITH_VALUE = _OF_THE_ENGINE | {"--output", "-o"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process.

    Args:
        arguments: words after `tenuto`; None: those of the process.
    """
    words = _command_first(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A path or a line of source that this encoding does not know is shown by escapes, and ends no command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if words and words[0] in LIGHT:
        try:
            _light(words[0])(args=words, prog_name="tenuto")
        finally:
            if arguments is None:
                # The process ends: looking for garbage among its syntax trees once more costs a third of a run.
                gc.freeze()
    from tenuto._cli.main import main as run_all

    run_all(words)


def _command_first(arguments: Sequence[str]) -> list[str]:
    """The words with a light command moved before the options that hold for every command; all others as they are."""
    kept: list[str] = []
    words = list(arguments)
    while words and words[0].startswith("-"):
        name, _, value = words[0].partition("=")
        count = 2 if name in _WITH_VALUE and not value else 1
        if name not in _WITH_VALUE and name != "--no-color":
            break
        kept += [] if name in _OF_THE_ENGINE else words[:count]
        words = words[count:]
    return [words[0], *kept, *words[1:]] if words and words[0] in LIGHT else list(arguments)


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
