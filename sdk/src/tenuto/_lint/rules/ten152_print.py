"""TEN152: printing."""

from __future__ import annotations

import ast

from tenuto._lint.finding import Fix, Severity
from tenuto._lint.rule import Profile, Rule, Use
from tenuto._lint.view import Call


def _is_to_terminal(call: Call) -> bool:
    """Whether it prints to a stream of the process; a `file=` of the workflow's own stays in it."""
    file = call.argument(-1, "file")
    return file is None or call.function.text_of(file) in ("sys.stdout", "sys.stderr")


def _logged(call: Call) -> Fix | None:
    """Print with text only, as a statement: the logger formats with `%s` what are several values."""
    function, node = call.function, call.node
    if function.ctx is None or not isinstance(node, ast.Call) or node.keywords or not node.args:
        return None
    if any(isinstance(one, ast.Starred) for one in node.args) or not isinstance(function.parent(node), ast.Expr):
        return None
    texts = [function.text_of(one) for one in node.args]
    if len(texts) > 1:
        texts.insert(0, '"' + " ".join(["%s"] * len(texts)) + '"')
    text = f"{function.ctx}.logger.info({', '.join(texts)})"
    return Fix(f"log by {function.ctx}.logger", (function.replace(node, text),))


RULE = Rule(
    id="TEN152",
    name="print",
    message="{text}() prints again with each replay",
    why="The code runs once more with each replay, and what it prints appears once more.",
    breaks="A line appears as often as the workflow is replayed, and looks as if it had happened so often.",
    instead="Use ctx.logger.info(...): it is silent while the workflow replays.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    calls={
        "builtins.print": Use(when=_is_to_terminal, fix=_logged),
        "pprint.pp": Use(),
        "pprint.pprint": Use(),
        "rich.print": Use(),
        "rich.console.Console.print": Use(),
        "click.echo": Use(),
        "click.secho": Use(),
        "typer.echo": Use(),
        "sys.stdout.write": Use(),
        "sys.stderr.write": Use(),
        "warnings.warn": Use(),
    },
)
