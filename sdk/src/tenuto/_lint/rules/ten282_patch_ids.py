"""TEN282: patch names that do not name one change."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.drift.drifting import fresh_name
from tenuto._lint.drift.shape import Place
from tenuto._lint.drift.view import BaseView
from tenuto._lint.finding import Edit, Fix
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.scopes import literal
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    for operation in function.operations:
        if operation.method != "is_patched" or operation.subject is None:
            continue
        texts = [literal(value) for value in function.values(operation.subject)]
        if isinstance(operation.subject, ast.Constant) and operation.subject.value == "":
            yield function.hit(operation.call.node, "the patch has an empty name")
        elif not texts or not all(texts):
            yield function.hit(operation.call.node, "the name of the patch is computed")


def _check_base(view: BaseView) -> Iterator[Hit]:
    for pair, found in view.differences:
        for hunk in found.hunks:
            for name, place in hunk.reused_patches:
                other = fresh_name(name, pair)
                yield view.hit(
                    place,
                    f"patch '{name}' already names another change of workflow '{pair.current.name}' at {view.name}",
                    breaks="An execution that took the patch for the former change gets True here too, where it may "
                    "have passed without what is new: it stalls with NON_DETERMINISTIC.",
                    instead=f'Give this change a name of its own, such as "{other}".',
                    fix=_rename(view, place, other),
                )


def _rename(view: BaseView, place: Place, name: str) -> Fix | None:
    """Gives the patch another name, where it is written in the call."""
    node = place.node
    if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
        return None
    edit = Edit(*view.project.module(place.module).span(node.args[0]), f'"{name}"')
    return Fix(f'name the patch "{name}"', (edit,))


RULE = Rule(
    id="TEN282",
    name="patch-ids",
    message="the patch does not name one change",
    why="The answer to ctx.is_patched(name) is recorded under the name, once for the whole life of an execution, and "
    "decides at every place that asks for it.",
    breaks="A replay finds no answer, or that of another change, and takes another branch than the first run.",
    instead="Write the name as a literal that no other change of this workflow has.",
    check=_check,
    check_base=_check_base,
)
