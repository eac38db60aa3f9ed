"""What rules about activities and payloads ask of calls and registrations."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from tenuto._lint.names import REGISTRATIONS
from tenuto._lint.project import Found
from tenuto._lint.view import FunctionView

LIMITS = frozenset({"retry_policy", "start_to_close_timeout", "schedule_to_close_timeout", "heartbeat_timeout"})
# Keyword of what becomes a payload, by method of the context, and its position.
_PAYLOADS = {
    "call_activity": ("input", -1),
    "call_child_workflow": ("input", -1),
    "raise_event": ("data", -1),
    "continue_as_new": ("new_input", 0),
    "set_custom_status": ("custom_status", 0),
}


def payloads(function: FunctionView) -> Iterator[tuple[str, ast.expr]]:
    """Yield what operations of a function record, each with what it is; names are followed to what they hold."""
    for operation in function.operations:
        if operation.method in _PAYLOADS:
            name, position = _PAYLOADS[operation.method]
            given = operation.call.argument(position, name)
            for value in function.values(given) if given is not None else ():
                yield name.replace("_", " "), value


def options_of(function: FunctionView) -> dict[str, ast.expr] | None:
    """Return what the decorator of an activity gives beside its name; None where it is registered otherwise."""
    node = function.node
    for decorator in node.decorator_list if not isinstance(node, ast.Module) else ():
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(target, ast.Attribute) and REGISTRATIONS.get(target.attr) == "activity":
            given = decorator.keywords if isinstance(decorator, ast.Call) else []
            hidden = any(one.arg is None for one in given)
            return None if hidden else {one.arg: one.value for one in given if one.arg}
    return None


def decorated_with(function: FunctionView) -> frozenset[str] | None:
    """Return the names of what the decorator of an activity gives; None where it is registered otherwise."""
    options = options_of(function)
    return None if options is None else frozenset(options)


def registered_with(function: FunctionView, found: Sequence[Found]) -> frozenset[str] | None:
    """Return the options with which the activity that a call names is decorated; None where that is not known."""
    view = function.view_of(found[0]) if len(found) == 1 else None
    return None if view is None else decorated_with(view)
