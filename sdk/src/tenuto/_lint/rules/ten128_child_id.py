"""TEN128: children started under an id that is another one each time."""

from __future__ import annotations

from collections.abc import Iterator

from tenuto._lint.rule import Hit, Rule
from tenuto._lint.sources import changing_name
from tenuto._lint.view import FunctionView


def check(function: FunctionView) -> Iterator[Hit]:
    """Look at the ids that children are given, and receivers of events."""
    for operation in function.operations:
        if operation.method == "call_child_workflow":
            given = operation.call.argument(-1, "instance_id")
        elif operation.method == "raise_event":
            given = operation.call.argument(0, "instance_id")
        else:
            continue
        source = changing_name(function, given, operation.call.scope) if given is not None else ""
        if given is not None and source:
            who = "the child" if operation.method == "call_child_workflow" else "the receiver"
            yield function.hit(given, f"the id of {who} is made by {source.removeprefix('builtins.')}()")


RULE = Rule(
    id="TEN128",
    name="child-id",
    message="the id of another instance is made by something that changes",
    why="The id is another one each time the code runs.",
    breaks="A replay asks for a child, or sends to an instance, with another id than history records: the "
    "instance stalls; and clients that were told the first id look for the wrong one.",
    instead="Leave the id to the engine, or derive it: f'{ctx.instance_id}-{number}', or ctx.new_uuid().",
    check=check,
)
