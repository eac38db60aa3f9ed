"""TEN201: module globals and class attributes that a workflow changes."""

from __future__ import annotations

from collections.abc import Iterator

from tenuto._lint.rule import Hit, Rule
from tenuto._lint.shared import changes
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    for change in changes(function):
        yield function.hit(change.node, f"workflow code {change.how} the {change.thing.what} {change.thing.name}")


RULE = Rule(
    id="TEN201",
    name="global-writes",
    message="workflow code changes what all executions of the process share",
    why="The code runs again from its first line at each replay, and other instances run it in the same process.",
    breaks="A counter counts replays, a list holds the same entry several times; what depends on it goes another way "
    "in the next replay, and the instance stalls.",
    instead="Keep state in locals, which each replay rebuilds exactly; carry it on by ctx.continue_as_new; share it "
    "through a database in an activity, or through another workflow by events.",
    check=_check,
)
