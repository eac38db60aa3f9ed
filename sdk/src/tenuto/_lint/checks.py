"""Runs rules over functions and modules; what they find is kept apart from chains, suppressions and configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from tenuto._lint.drift.view import BaseView
from tenuto._lint.finding import Fix, Severity
from tenuto._lint.rule import Hit, Rule, Scope, Use
from tenuto._lint.tables import Table
from tenuto._lint.view import Call, FunctionView, ModuleView, ProjectView, Read, SuppressionsView


class Raw(msgspec.Struct, frozen=True, array_like=True):
    """One hit as it is kept: what a finding says, chain and configured severity left out."""

    rule: str
    function: str
    line: int
    column: int
    end_line: int
    end_column: int
    message: str
    why: str
    breaks: str
    instead: str
    severity: Severity
    fix: Fix | None


class Checker:
    """The rules of one run.

    Args:
        rules: those that run.
        extra: names from the configuration by rule id, taken as calls that the rule finds.
    """

    def __init__(self, rules: Iterable[Rule], extra: Mapping[str, Iterable[str]]) -> None:
        self.rules = list(rules)
        self.broken: dict[str, str] = {}
        self._tables = {scope: (Table(), Table()) for scope in Scope}
        for rule in self.rules:
            calls, reads = self._tables[rule.scope]
            calls.add(rule, {**rule.calls, **{name: Use() for name in extra.get(rule.id, ())}})
            reads.add(rule, rule.reads)
        self._by_function = {
            scope: [rule for rule in self.rules if rule.check and rule.scope is scope] for scope in Scope
        }
        self._by_module = [rule for rule in self.rules if rule.check_module]

    def check_module(self, view: ModuleView) -> list[Raw]:
        """Return what the rules find in a module that something of a workflow is in, and in its activities."""
        found: list[Raw] = []
        for function in view.functions:
            found += self._check_function(function, Scope.WORKFLOW)
        for function in view.activities:
            found += self._check_function(function, Scope.ACTIVITY)
        for rule in self._by_module:
            check = rule.check_module
            if check is not None:
                found += [
                    _raw(rule, hit, view, hit.function or "") for hit in self._guarded(rule, check, view, view.path)
                ]
        return found

    def check_project(self, view: ProjectView) -> Iterator[tuple[str, Raw]]:
        """Yield what rules find in the facts of all modules, each with the path that the rule names."""
        for rule in self.rules:
            if rule.check_project is not None:
                for hit in self._guarded(rule, rule.check_project, view, "the project"):
                    yield hit.path or "", _raw(rule, hit, None, hit.function or "")

    def check_base(self, view: BaseView) -> Iterator[tuple[str, Raw]]:
        """Yield what rules find beside a base revision, each with the path that the rule names."""
        modules = {view.project.path_of(module): module for module in view.project.modules}
        for rule in self.rules:
            if rule.check_base is not None:
                for hit in self._guarded(rule, rule.check_base, view, f"the base {view.name}"):
                    module = modules.get(hit.path or "")
                    shown = None if module is None else view.project.module(module)
                    yield hit.path or "", _raw(rule, hit, shown, hit.function or "")

    def _check_function(self, view: FunctionView, scope: Scope) -> list[Raw]:
        found: list[Raw] = []
        calls, reads = self._tables[scope]
        for call in view.calls:
            found += self._look_up(calls, call, view)
        for read in view.reads:
            found += self._look_up(reads, read, view)
        for rule in self._by_function[scope]:
            check = rule.check
            if check is not None:
                where = f"{view.module.path}: {view.name}"
                found += [_raw(rule, hit, view.module, view.name) for hit in self._guarded(rule, check, view, where)]
        return found

    def _look_up(self, table: Table, one: Call | Read, view: FunctionView) -> Iterator[Raw]:
        for name in one.names if view.body.is_replayed(one.node) else ():
            for rule, use in table.look_up(name):
                where = f"{view.module.path}: {view.name}"
                for hit in self._guarded(rule, partial(_use, rule, use, name), one, where):
                    yield _raw(rule, hit, view.module, view.name)

    def _guarded(self, rule: Rule, check: Callable[[Any], Iterable[Hit]], view: Any, where: str) -> list[Hit]:
        try:
            return list(check(view))
        except Exception as error:  # one rule with a fault must not hide what all others find; it is reported by name
            self.broken.setdefault(rule.id, f"rule {rule.id} failed on {where}: {type(error).__name__}: {error}")
            return []


def _use(rule: Rule, use: Use, name: str, one: Call | Read) -> Iterable[Hit]:
    if use.when is not None and not use.when(one):
        return
    message = (use.message or rule.message).format(name=name.removeprefix("builtins."), text=one.text)
    fix = use.fix(one) if use.fix is not None else None
    yield Hit(node=one.node, message=message, instead=use.instead, fix=fix)


def _raw(rule: Rule, hit: Hit, view: ModuleView | None, function: str) -> Raw:
    line, column, end_line, end_column = hit.line, hit.column, hit.line, hit.column
    if hit.node is not None and view is not None:
        line, column, end_line, end_column = view.span(hit.node)
    return Raw(
        rule=rule.id,
        function=function,
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
        message=hit.message or rule.message,
        why=rule.why if hit.why is None else hit.why,
        breaks=rule.breaks if hit.breaks is None else hit.breaks,
        instead=rule.instead if hit.instead is None else hit.instead,
        severity=hit.severity or rule.severity,
        fix=hit.fix,
    )


def check_suppressions(rules: Iterable[Rule], view: SuppressionsView) -> Iterator[Raw]:
    """Yield what rules say about the suppressions of a module."""
    for rule in rules:
        if rule.check_suppressions is not None:
            for hit in rule.check_suppressions(view):
                yield _raw(rule, hit, None, hit.function or "")
