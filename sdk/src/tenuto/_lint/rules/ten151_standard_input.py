"""TEN151: standard input."""

from __future__ import annotations

from tenuto._lint.rule import Profile, Rule, Use

RULE = Rule(
    id="TEN151",
    name="standard-input",
    message="{text} reads from the terminal of the worker",
    why="Nobody sits at a worker, and what was typed is not recorded.",
    breaks="The turn waits until it exceeds its timeout; a replay asks again.",
    instead="Wait for an external event: yield ctx.wait_for_external_event('answer').",
    profile=Profile.STRICT,
    calls={
        **{
            name: Use(message="{text}() reads from the terminal of the worker")
            for name in ("builtins.input", "getpass.getpass")
        },
        "sys.stdin.*": Use(message="{text}() reads from the terminal of the worker"),
        "click.prompt": Use(message="{text}() reads from the terminal of the worker"),
        "click.confirm": Use(message="{text}() reads from the terminal of the worker"),
        "typer.prompt": Use(message="{text}() reads from the terminal of the worker"),
        "typer.confirm": Use(message="{text}() reads from the terminal of the worker"),
    },
    reads={"sys.stdin": Use()},
)
