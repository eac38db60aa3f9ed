"""Whether the arguments of a call fit what it calls, as far as plain annotations and literals say."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from tenuto._lint.parse import last_name
from tenuto._lint.scopes import Function
from tenuto._lint.view import FunctionView

# Arguments of the context's methods: how many may be given by position, and the names of all.
_CALLS: Mapping[str, tuple[int, frozenset[str]]] = {
    "call_activity": (
        1,
        frozenset(
            {
                "activity",
                "app_id",
                "heartbeat_timeout",
                "input",
                "result_type",
                "retry_policy",
                "schedule_to_close_timeout",
                "start_to_close_timeout",
            }
        ),
    ),
    "call_child_workflow": (
        1,
        frozenset({"app_id", "input", "instance_id", "result_type", "retry_policy", "version", "workflow"}),
    ),
    "continue_as_new": (1, frozenset({"new_input", "save_events"})),
    "create_timer": (1, frozenset({"fire_at"})),
    "is_patched": (1, frozenset({"patch_name"})),
    "raise_event": (2, frozenset({"data", "instance_id", "name"})),
    "set_custom_status": (1, frozenset({"custom_status"})),
    "wait_for_external_event": (1, frozenset({"data_type", "name", "timeout"})),
}
# What JSON a value of a type is, and what JSON it is read from.
_JSON = {
    "str": frozenset({"a text"}),
    "int": frozenset({"a whole number"}),
    "float": frozenset({"a whole number", "a number"}),
    "bool": frozenset({"a truth value"}),
    "list": frozenset({"a list"}),
    "tuple": frozenset({"a list"}),
    "set": frozenset({"a list"}),
    "frozenset": frozenset({"a list"}),
    "dict": frozenset({"a dictionary"}),
}
# Types of results that cannot be mistaken for one another; a whole number is a float to type checkers, and to Python.
_DISTINCT = {name: {name} for name in ("str", "bytes", "list", "dict", "tuple", "set")} | {
    "int": {"int", "float"},
    "float": {"float"},
    "bool": {"bool", "int", "float"},
}


def surplus_arguments(method: str, call: ast.Call, *, names_too: bool) -> str:
    """Say which arguments a method of the context does not take; empty where all fit, or `*args` hide them.

    Args:
        method: its name.
        call: the call.
        names_too: whether names count; other packages with the same methods have names of their own.
    """
    if method not in _CALLS or any(isinstance(one, ast.Starred) for one in call.args):
        return ""
    most, names = _CALLS[method]
    if len(call.args) > most:
        return f"{method} takes {most} argument{'s' if most > 1 else ''} by position, and {len(call.args)} are given"
    unknown = [one.arg for one in call.keywords if names_too and one.arg is not None and one.arg not in names]
    return f"{method} has no argument {unknown[0]}=" if unknown else ""


def input_problem(target: FunctionView, call: ast.Call) -> str:
    """Say why the input that a call gives does not fit the function it calls; empty where it may.

    Args:
        target: an activity or workflow of the project.
        call: an operation that names it.
    """
    node = target.node
    if not isinstance(node, Function) or any(one.arg is None for one in call.keywords):
        return ""
    given = next((one.value for one in call.keywords if one.arg == "input"), None)
    is_given = given is not None and not (isinstance(given, ast.Constant) and given.value is None)
    parameters = target.body.parameters
    takes_input = len(parameters) > 1 or node.args.vararg is not None
    if is_given and not takes_input:
        return f"{node.name} takes no input, and this one is dropped" if parameters else ""
    if len(parameters) < 2:
        return ""
    annotation = parameters[1].annotation
    if not is_given:
        has_default = len(node.args.defaults) >= len(node.args.posonlyargs) + len(node.args.args) - _index(target)
        is_certain = given is None and annotation is not None and not has_default and _refuses_none(target, annotation)
        return f"{node.name} needs an input, and gets None" if is_certain else ""
    what, accepted = _json_of(given), _accepted(target, annotation)
    if what and accepted and what not in accepted:
        return f"{node.name} takes {ast.unparse(annotation)} as input, and {what} is given" if annotation else ""
    return ""


def _index(target: FunctionView) -> int:
    """The position of a function's input among its parameters, `self` counted."""
    node = target.node
    assert isinstance(node, Function), "checked by who asks"
    every = [*node.args.posonlyargs, *node.args.args]
    return every.index(target.body.parameters[1])


def _refuses_none(target: FunctionView, annotation: ast.expr) -> bool:
    """Whether an annotation certainly refuses None: a plain type, or a class of the project."""
    if isinstance(annotation, ast.Name | ast.Subscript) and last_name(annotation) in _JSON:
        return True
    if not isinstance(annotation, ast.Name | ast.Attribute):
        return False
    found = target.found(annotation, target.module.parsed.scope)
    return bool(found) and all(one.kind == "class" for one in found)


def _json_of(node: ast.expr | None) -> str:
    match node:
        case ast.Constant(value=bool()):
            return "a truth value"
        case ast.Constant(value=str()) | ast.JoinedStr():
            return "a text"
        case ast.Constant(value=int()):
            return "a whole number"
        case ast.Constant(value=float()):
            return "a number"
        case ast.List() | ast.Tuple() | ast.Set() | ast.ListComp() | ast.SetComp():
            return "a list"
        case ast.Dict() | ast.DictComp():
            return "a dictionary"
        case _:
            return ""


def _accepted(target: FunctionView, annotation: ast.expr | None) -> frozenset[str]:
    """What JSON an annotation accepts; empty where that is not certain."""
    if not isinstance(annotation, ast.Name | ast.Subscript):
        return frozenset()
    name = last_name(annotation)
    if name in _JSON:
        return _JSON[name]
    if isinstance(annotation, ast.Name):
        for found in target.found(annotation, target.module.parsed.scope):
            if found.kind == "class" and found.module is not None:
                node = found.module.parsed.classes[found.local].node
                if any(last_name(_called(one)) == "dataclass" for one in node.decorator_list):
                    return _JSON["dict"]
    return frozenset()


def _called(decorator: ast.expr) -> ast.expr:
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def result_problem(target: FunctionView, annotation: ast.expr) -> str:
    """Say why the result of an activity cannot be what a variable is annotated as; empty where it may."""
    node = target.node
    if not isinstance(node, Function) or node.returns is None:
        return ""
    given, wanted = node.returns, annotation
    if not all(isinstance(one, ast.Name | ast.Subscript) for one in (given, wanted)):
        return ""
    fitting = _DISTINCT.get(last_name(given))
    if fitting is None or last_name(wanted) not in _DISTINCT or last_name(wanted) in fitting:
        return ""
    return f"{node.name} gives {ast.unparse(given)}, and {ast.unparse(wanted)} is expected"
