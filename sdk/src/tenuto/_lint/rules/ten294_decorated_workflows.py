"""TEN294: decorators that run a workflow's code again, or not at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView

_AGAIN = "runs the workflow's code again behind replay's back"
_ONCE = "gives a former result instead of running the workflow"
_DECORATORS = {
    "backoff.on_exception": _AGAIN,
    "backoff.on_predicate": _AGAIN,
    "retry.retry": _AGAIN,
    "retrying.retry": _AGAIN,
    "stamina.retry": _AGAIN,
    "tenacity.retry": _AGAIN,
    "cachetools.cached": _ONCE,
    "functools.cache": _ONCE,
    "functools.lru_cache": _ONCE,
    "joblib.Memory.cache": _ONCE,
}


def _check(function: FunctionView) -> Iterator[Hit]:
    if not function.is_workflow or isinstance(function.node, ast.Module):
        return
    outside = function.body.scope.parent
    for decorator in function.node.decorator_list:
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        for name in function.names(named, outside):
            if name in _DECORATORS:
                yield function.hit(decorator, f"{function.text_of(named)} {_DECORATORS[name]}")


RULE = Rule(
    id="TEN294",
    name="decorated-workflows",
    message="the decorator changes how the workflow runs",
    why="A workflow is begun and stepped by the worker alone: once for each replay, from its first line.",
    breaks="Operations are asked for twice, or not at all: history and code differ.",
    instead="Retry activities, by their retry_policy; keep results in history, where they are already.",
    profile=Profile.STRICT,
    check=_check,
)
