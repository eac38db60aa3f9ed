"""The patch for a change as text and, where it is certain, as an edit."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from tenuto._lint.drift.drifting import Hunk, patch_name
from tenuto._lint.drift.program import Workflow
from tenuto._lint.drift.shape import Token
from tenuto._lint.drift.snippet import Patch, Side, make_patch
from tenuto._lint.drift.view import BaseView
from tenuto._lint.finding import Edit, Fix
from tenuto._lint.names import OPERATIONS
from tenuto._lint.project import Module
from tenuto._lint.scopes import Function


@dataclass(frozen=True)
class Proposal:
    """What to write. `fix` is None where the text needs a human eye first."""

    patch: str
    text: str
    fix: Fix | None


def propose(view: BaseView, hunk: Hunk) -> Proposal:
    """The patch that keeps instances of the base going through one hunk."""
    name = patch_name(hunk)
    sides = _sides(hunk)
    context = _context_of(hunk)
    made = None if sides is None else make_patch(sides[0], sides[1], context=context, patch=name)
    if sides is None or made is None:
        general = f'if {context}.is_patched("{name}"):\n    ...  # as today\nelse:\n    ...  # as at the base'
        return Proposal(name, general, None)
    module = _function_of(hunk)[0]
    fix = Fix(f'keep the former code behind {context}.is_patched("{name}")', (_edit(module.text, made),))
    return Proposal(name, made.text, fix if made.is_complete and _mends(view, hunk, module, fix) else None)


def _mends(view: BaseView, hunk: Hunk, module: Module, fix: Fix) -> bool:
    """Whether the edit does away with this hunk, and adds nothing: asked of the edited code itself."""
    before = _count(view, hunk.pair.current)
    edited = view.with_edits(module, fix.edits)
    return not edited.project.project.problems and _count(edited, hunk.pair.current) == before - len(hunk.changes)


def _count(view: BaseView, workflow: Workflow) -> int:
    key = (workflow.scope.module.path, workflow.scope.qualname)
    for pair, found in view.differences:
        if (pair.current.scope.module.path, pair.current.scope.qualname) == key:
            return sum(len(hunk.changes) for hunk in found.hunks) + len(found.dropped)
    return -1


# -- which functions


def _sides(hunk: Hunk) -> tuple[Side, Side] | None:
    """The function at both revisions, where all changes are in one."""
    old, new = hunk.tokens()
    module, function = _function_of(hunk)
    if any((token.place.module, token.place.function) != (module, function) for token in new):
        return None
    homes = {(token.place.module, token.place.function) for token in old}
    if len(homes) > 1:
        return None
    base_module, base_function = homes.pop() if homes else _base_home(hunk, function)
    scope, scope_then = hunk.pair.current.scope, hunk.pair.base.scope
    if ((module, function) == (scope.module, scope.qualname)) is not (
        (base_module, base_function) == (scope_then.module, scope_then.qualname)
    ):
        # A workflow and a helper of it are no two forms of one function: neither's text stands for the other's.
        return None
    today, before = _definition(module, function), _definition(base_module, base_function)
    if today is None or before is None:
        return None
    return (
        Side(base_module.text, before, _lines(old), frozenset(base_module.facts.names)),
        Side(module.text, today, _lines(new), frozenset(module.facts.names)),
    )


def _function_of(hunk: Hunk) -> tuple[Module, str]:
    """The function of today that holds the change: where it is, or where its neighbour is."""
    place = hunk.place
    old, new = hunk.tokens()
    if not new and old:
        # What is gone belongs to the function of its name, if there is still one; its neighbour may be elsewhere.
        scope = hunk.pair.base.scope
        if (old[0].place.module, old[0].place.function) == (scope.module, scope.qualname):
            return hunk.pair.current.scope.module, hunk.pair.current.scope.qualname
    if place is None:
        return hunk.pair.current.scope.module, hunk.pair.current.scope.qualname
    return place.module, place.function


def _base_home(hunk: Hunk, function: str) -> tuple[Module, str]:
    """Where the function of today stood, when nothing of it changed but what is new."""
    scope = hunk.pair.base.scope
    if function == hunk.pair.current.scope.qualname:
        return scope.module, scope.qualname
    rows = hunk.comparison.rows
    places = [row.base.place for row in rows if row.base and row.current and row.current.place.function == function]
    return (places[0].module, places[0].function) if places else (scope.module, scope.qualname)


def _definition(module: Module, function: str) -> Function | None:
    body = module.parsed.bodies.get(function)
    return None if body is None or isinstance(body.node, ast.Module) else body.node


def _lines(tokens: list[Token]) -> frozenset[int]:
    return frozenset(token.place.line for token in tokens)


def _context_of(hunk: Hunk) -> str:
    """The name of the context where the change is."""
    module, function = _function_of(hunk)
    node = _definition(module, function)
    for part in ast.walk(node) if node is not None else ():
        match part:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in OPERATIONS:
                return name
            case _:
                pass
    return "ctx"


def _edit(text: str, patch: Patch) -> Edit:
    """The edit of whole lines."""
    lines = text.split("\n")
    if patch.end_line >= patch.line:
        return Edit(patch.line, 0, patch.end_line, len(lines[patch.end_line - 1]), patch.replacement)
    if patch.line <= len(lines):
        return Edit(patch.line, 0, patch.line, 0, f"{patch.replacement}\n")
    end = len(lines[-1])
    return Edit(len(lines), end, len(lines), end, f"\n{patch.replacement}")
