"""TEN284: workflows that are registered under another name than at the base, or not at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.drift.drifting import Pair
from tenuto._lint.drift.program import Workflow
from tenuto._lint.drift.shape import Place
from tenuto._lint.drift.view import BaseView, definition
from tenuto._lint.finding import Edit, Fix, Severity
from tenuto._lint.names import REGISTRATIONS
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.view import ModuleView


def _check(view: BaseView) -> Iterator[Hit]:
    for pair in view.renamed:
        old, new = pair.base, pair.current
        yield view.hit(
            definition(new),
            f"workflow '{old.name}' is now called '{new.name}'",
            instead=f'Keep the name that instances know: register it with name="{old.name}". The function itself may '
            "be called as you like.",
            fix=_keep_name(view, pair),
        )
    for one in view.gone:
        place = _near(view, one)
        if place is not None:
            yield view.hit(
                place,
                f"workflow '{one.name}' of {view.name} is gone",
                instead="Make sure that no instance is left before this is deployed: tenuto workflow list "
                f"--status running --status suspended --name {one.name}.",
                severity=Severity.WARNING,
            )


def _near(view: BaseView, one: Workflow) -> Place | None:
    """The top of the file in which it stood, or of one that holds a workflow."""
    modules = {module.path: module for module in view.project.modules}
    others = [workflow.scope.module for workflow in view.current.workflows] or view.project.modules
    module = modules.get(one.scope.module.path) or (others[0] if others else None)
    return None if module is None else Place(module, "", ast.Pass(lineno=1, col_offset=0))


def _keep_name(view: BaseView, pair: Pair) -> Fix | None:
    """Writes the former name into the decorator that registers the workflow."""
    node, name = pair.current.scope.node, pair.base.name
    shown = view.project.module(pair.current.scope.module)
    title = f'register it as "{name}"'
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if not isinstance(target, ast.Attribute) or REGISTRATIONS.get(target.attr) != "workflow":
            continue
        if not isinstance(decorator, ast.Call):
            return Fix(title, (_after(shown, decorator, f'(name="{name}")'),))
        given = next((one.value for one in decorator.keywords if one.arg == "name"), None)
        if given is not None:
            return Fix(title, (Edit(*shown.span(given), f'"{name}"'),))
        if not decorator.args and not decorator.keywords:
            return Fix(title, (Edit(*shown.span(decorator), f'{shown.text_of(target)}(name="{name}")'),))
    return None


def _after(shown: ModuleView, node: ast.expr, text: str) -> Edit:
    _, _, line, column = shown.span(node)
    return Edit(line, column, line, column, text)


RULE = Rule(
    id="TEN284",
    name="renamed-workflows",
    message="a workflow of the base is registered under another name",
    why="An instance knows its workflow by the name it was started with, and so do clients, parents and schedules.",
    breaks="An instance that runs waits for a worker that has registered the former name, and there is none any more.",
    instead='Keep the name: register the function with name="...".',
    check_base=_check,
)
