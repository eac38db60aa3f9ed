"""Rewrites a module of the corpus, mechanically, into what other linters recognise; each line knows where it was.

For `temporalint`: each workflow becomes a class with `@workflow.defn` and an asynchronous `@workflow.run`, `yield`
becomes `await`, activities get `@activity.defn`, and the context's operations become Temporal's. For `replayguard`:
each workflow gets `@durable_execution`, each activity `@durable_step`, and the context's operations become AWS's. What
stands inside the functions stays as it is.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tenuto_lint.roles import Function, Roles, context_of, context_type, decorator_name, is_activity, is_workflow

_TEMPORAL = {
    "call_activity": "workflow.execute_activity",
    "call_child_workflow": "workflow.execute_child_workflow",
    "create_timer": "workflow.sleep",
    "wait_for_external_event": "workflow.wait_condition",
    "continue_as_new": "workflow.continue_as_new",
    "current_utc_datetime": "workflow.now()",
    "is_replaying": "workflow.unsafe.is_replaying()",
    "instance_id": "workflow.info().workflow_id",
    "new_uuid": "workflow.uuid4",
    "is_patched": "workflow.patched",
    "random": "workflow.random",
    "logger": "workflow.logger",
}
_AWS = {
    "call_activity": "step",
    "call_child_workflow": "invoke",
    "create_timer": "wait",
    "wait_for_external_event": "wait_for_callback",
}
_TEMPORAL_KEYWORDS = {"input": "arg", "instance_id": "id"}
_AWS_KEYWORDS = {"instance_id": "name"}
_DECORATORS = frozenset({"workflow", "versioned_workflow", "activity"})


@dataclass
class Translated:
    """A rewritten module.

    Attributes:
        text: its source.
        lines: for each of its lines the original one; 0 for lines that were added.
    """

    text: str
    lines: list[int]


@dataclass
class _Sheet:
    """Lines of a module with the edits that are due, kept until all are known."""

    lines: list[str]
    edits: list[tuple[int, int, int, str]] = field(default_factory=list[tuple[int, int, int, str]])
    before: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    indents: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def replace(self, node: ast.expr | ast.stmt | ast.arg | ast.keyword, text: str) -> None:
        """Replace a node; what it has on further lines becomes empty."""
        last = node.end_lineno or node.lineno
        end = (node.end_col_offset or 0) if last == node.lineno else len(self.lines[node.lineno - 1])
        self.edit(node.lineno, node.col_offset, end, text)
        for line in range(node.lineno + 1, last + 1):
            until = (node.end_col_offset or 0) if line == last else len(self.lines[line - 1])
            self.edit(line, 0, until, "")

    def edit(self, line: int, begin: int, end: int, text: str) -> None:
        """Replace columns of one line."""
        self.edits.append((line, begin, end, text))

    def insert(self, line: int, text: str) -> None:
        """Add a line before another one."""
        added = self.before.setdefault(line, [])
        if text not in added:  # Two workflows of one class mark it once.
            added.append(text)

    def finish(self) -> Translated:
        """Carry everything out."""
        lines = list(self.lines)
        for line, begin, end, text in sorted(self.edits, reverse=True):
            lines[line - 1] = lines[line - 1][:begin] + text + lines[line - 1][end:]
        for first, last in self.indents:
            for line in range(first, last + 1):
                lines[line - 1] = f"    {lines[line - 1]}" if lines[line - 1].strip() else ""
        out: list[str] = []
        origin: list[int] = []
        for number, text in enumerate(lines, 1):
            for added in self.before.get(number, ()):
                out.append(added)
                origin.append(0)
            out.append(text)
            origin.append(number)
        return Translated("".join(f"{line}\n" for line in out), origin)


def to_temporal(source: str, roles: Roles) -> Translated:
    """Rewrite a module for Temporal's Python SDK."""
    tree = ast.parse(source)
    sheet = _Sheet(source.splitlines())
    sheet.insert(_first_import(tree), "from temporalio import activity, workflow")
    for node, owner, is_nested in _functions(tree):
        if is_activity(node, roles):
            _decorate(sheet, node, "activity.defn")
            continue
        parameter = context_of(node)
        if parameter is None:
            continue
        is_one = is_workflow(node, roles, is_nested=is_nested)
        if is_one or context_type(node).endswith("WorkflowContext"):
            _rename_operations(sheet, node, parameter.arg, _temporal_operation)
            if is_one or any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node)):
                _make_coroutine(sheet, node)
        if is_one and owner is None:
            _wrap_in_class(sheet, node, parameter)
        elif is_one and owner is not None:
            sheet.insert(_first_line(owner), " " * owner.col_offset + "@workflow.defn")
            sheet.insert(_first_line(node), " " * node.col_offset + "@workflow.run")
    return sheet.finish()


def to_aws(source: str, roles: Roles) -> Translated:
    """Rewrite a module for AWS's durable execution SDK."""
    tree = ast.parse(source)
    sheet = _Sheet(source.splitlines())
    imported = "from aws_durable_execution_sdk_python import durable_execution, durable_step"
    sheet.insert(_first_import(tree), imported)
    for node, _, is_nested in _functions(tree):
        if is_activity(node, roles):
            _decorate(sheet, node, "durable_step")
            continue
        parameter = context_of(node)
        if parameter is None:
            continue
        is_one = is_workflow(node, roles, is_nested=is_nested)
        if is_one or context_type(node).endswith("WorkflowContext"):
            _rename_operations(sheet, node, parameter.arg, _aws_operation)
        if is_one:
            _decorate(sheet, node, "durable_execution")
    return sheet.finish()


def _functions(tree: ast.Module) -> Iterator[tuple[Function, ast.ClassDef | None, bool]]:
    """Every function, the class it is a method of, and whether it lies inside another function."""

    def visit(
        node: ast.AST, owner: ast.ClassDef | None, *, is_nested: bool
    ) -> Iterator[tuple[Function, ast.ClassDef | None, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield child, owner, is_nested
                yield from visit(child, None, is_nested=True)
            else:
                yield from visit(child, child if isinstance(child, ast.ClassDef) else owner, is_nested=is_nested)

    yield from visit(tree, None, is_nested=False)


def _first_import(tree: ast.Module) -> int:
    for node in tree.body:
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__"):
            return node.lineno
    return 1


def _first_line(node: Function | ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _decorate(sheet: _Sheet, node: Function, name: str) -> None:
    """Put a decorator in place of Tenuto's, or before the function where it has none."""
    ours = [one for one in node.decorator_list if decorator_name(one) in _DECORATORS]
    if ours:
        sheet.replace(ours[0], name)
    else:
        sheet.insert(_first_line(node), " " * node.col_offset + f"@{name}")


def _rename_operations(
    sheet: _Sheet, node: Function, context: str, rename: Callable[[_Sheet, ast.Attribute, ast.Call | None], None]
) -> None:
    calls = {id(call.func): call for call in ast.walk(node) if isinstance(call, ast.Call)}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == context:
            rename(sheet, inner, calls.get(id(inner)))


def _temporal_operation(sheet: _Sheet, attribute: ast.Attribute, call: ast.Call | None) -> None:
    if attribute.attr not in _TEMPORAL:
        return
    sheet.replace(attribute, _TEMPORAL[attribute.attr])
    if call is None:
        return
    _rename_keywords(sheet, call, _TEMPORAL_KEYWORDS)
    if attribute.attr == "call_activity" and not any((one.arg or "").endswith("_timeout") for one in call.keywords):
        # Without one, every call would be a finding of another rule, which is not compared here.
        line, column = call.end_lineno or call.lineno, (call.end_col_offset or 0) - 1
        before = sheet.lines[line - 1][:column].strip()
        comma = ", " if before and before[-1] not in ",(" else ""
        sheet.edit(line, column, column, f"{comma}start_to_close_timeout=TIMEOUT")


def _aws_operation(sheet: _Sheet, attribute: ast.Attribute, call: ast.Call | None) -> None:
    if attribute.attr in _AWS and call is not None and isinstance(attribute.value, ast.Name):
        sheet.replace(attribute, f"{attribute.value.id}.{_AWS[attribute.attr]}")
        _rename_keywords(sheet, call, _AWS_KEYWORDS)


def _rename_keywords(sheet: _Sheet, call: ast.Call, names: Mapping[str, str]) -> None:
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg in names:
            begin = keyword.col_offset
            sheet.edit(keyword.lineno, begin, begin + len(keyword.arg), names[keyword.arg])


def _make_coroutine(sheet: _Sheet, node: Function) -> None:
    """`yield` becomes `await`, and `def` becomes `async def`; a bare `yield` stays."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.YieldFrom):
            sheet.edit(inner.lineno, inner.col_offset, inner.col_offset + len("yield from"), "await")
        elif isinstance(inner, ast.Yield) and inner.value is not None:
            sheet.edit(inner.lineno, inner.col_offset, inner.col_offset + len("yield"), "await")
    if isinstance(node, ast.FunctionDef):
        sheet.edit(node.lineno, node.col_offset, node.col_offset, "async ")


def _wrap_in_class(sheet: _Sheet, node: Function, parameter: ast.arg) -> None:
    """Make the function the `run` method of a class that has its name."""
    margin = " " * node.col_offset
    first = _first_line(node)
    sheet.insert(first, f"{margin}@workflow.defn")
    sheet.insert(first, f"{margin}class {node.name}:")
    for decorator in node.decorator_list:
        if decorator_name(decorator) in _DECORATORS:
            sheet.replace(decorator, "workflow.run")
    if not any(decorator_name(decorator) in _DECORATORS for decorator in node.decorator_list):
        sheet.insert(first, f"{margin}    @workflow.run")
    sheet.replace(parameter, "self")
    sheet.indents.append((first, node.end_lineno or first))
