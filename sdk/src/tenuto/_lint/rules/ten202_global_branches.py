"""TEN202: branches on what the process may change."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.kinds import module_global
from tenuto._lint.memo import remembered
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.scopes import Binding
from tenuto._lint.shared import changed_globals
from tenuto._lint.taint import is_source
from tenuto._lint.view import FunctionView, ModuleView
from tenuto._lint.waits import waits_in, walk_here

_DEEPEST = 4
# Objects of settings and clients of feature flags, by the beginning of what they are or what gives them.
_SETTINGS = (
    "django.conf.settings.",
    "dynaconf.settings.",
    "dynaconf.Dynaconf.",
    "flagsmith.Flagsmith.",
    "flask.current_app.config",
    "growthbook.GrowthBook.",
    "ldclient.get.variation",
    "ldclient.client.LDClient.variation",
    "openfeature.api.get_client.",
    "posthog.feature_enabled",
    "posthog.get_feature_flag",
    "splitio.",
    "statsig.check_gate",
    "statsig.statsig.check_gate",
    "UnleashClient.UnleashClient.",
    "waffle.flag_is_active",
    "waffle.switch_is_active",
)


def _check(function: FunctionView) -> Iterator[Hit]:
    changed = _changed_by_others(function.module)
    for node in function.walk():
        condition = _condition(node)
        if condition is None:
            continue
        for one in _parts(function, condition, 0):
            name = _name(function, one, changed)
            if name:
                yield function.hit(one, f"a branch on {name}, which the process may change")
                break


def _condition(node: ast.AST) -> ast.expr | None:
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            return node.test
        case ast.For():
            return node.iter
        case ast.Match():
            return node.subject
        case _:
            return None


def _parts(function: FunctionView, node: ast.expr, depth: int) -> Iterator[ast.AST]:
    """A condition, and what the local variables in it were computed from; what an operation gave is recorded."""
    for one in walk_here(node):
        yield one
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load) and depth < _DEEPEST:
            resolver = function.module.parsed.resolver
            where, bindings = resolver.located(one.id, function.scope_of(one), (one.lineno, one.col_offset))
            for binding in bindings if where is function.body.scope else ():
                if binding.kind == "value" and binding.node is not None and not waits_in(function, binding.node):
                    yield from _parts(function, binding.node, depth + 1)


def _name(function: FunctionView, node: ast.AST, changed: frozenset[str]) -> str:
    match node:
        case ast.Name(ctx=ast.Load()):
            resolver = function.module.parsed.resolver
            where, bindings = resolver.located(node.id, function.scope_of(node), (node.lineno, node.col_offset))
            if where.kind != "module":
                return ""
            if node.id in changed:
                return f"the global {node.id}"
            return _set_at_import(function, node.id, bindings)
        case ast.Attribute():
            names = function.names(node, function.scope_of(node))
            if any(f"{one}.".startswith(_SETTINGS) for one in names):
                return function.text_of(node)
            raws = function.module.parsed.resolver.names(node, function.scope_of(node))
            places = [module_global(function, one) for one in raws]
            place = places[0] if len(places) == 1 else None
            return _set_from(function.project.module(place[0]), place[1]) if place is not None else ""
        case ast.Call(func=ast.Name()):
            names = function.names(node.func, function.scope_of(node))
            return function.text_of(node) if any(one.startswith(_SETTINGS) for one in names) else ""
        case _:
            return ""


def _set_at_import(function: FunctionView, name: str, bindings: list[Binding]) -> str:
    """What a global of this module, or of one that it imports from, was set from when the process began."""
    if len(bindings) == 1 and bindings[0].kind == "name":
        place = module_global(function, bindings[0].text)
        return _set_from(function.project.module(place[0]), place[1]) if place is not None else ""
    return _set_from(function.module, name)


def _set_from(module: ModuleView, name: str) -> str:
    for binding in module.parsed.scope.bindings.get(name, ()):
        for one in walk_here(binding.node) if binding.kind == "value" and binding.node is not None else ():
            named = one.func if isinstance(one, ast.Call) else one
            if isinstance(named, ast.Name | ast.Attribute) and is_source(module.names(named), is_call=named is not one):
                return f"{name}, which was set from {module.text_of(named)} when the process began"
    return ""


@remembered
def _changed_by_others(module: ModuleView) -> frozenset[str]:
    """Globals that functions of the module change, activities alone excepted: those are another rule's."""
    return frozenset(
        name for name, functions in changed_globals(module).items() if any(not one.is_activity for one in functions)
    )


RULE = Rule(
    id="TEN202",
    name="global-branches",
    message="a branch on what the process may change",
    why="The branch is taken again in each replay, with the value of that moment.",
    breaks="An execution that took the one branch before the value changed takes the other one in its next replay, "
    "and stalls on the operations of its history.",
    instead="Take the value from the input, or from an activity, which records it. For new code use "
    "ctx.is_patched(...): an execution keeps the answer that it got first.",
    profile=Profile.STRICT,
    check=_check,
)
