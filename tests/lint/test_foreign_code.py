"""Rules look at code that they were not written for."""

from __future__ import annotations

import asyncio
import email
from pathlib import Path

import pytest

from tenuto._lint.checks import Checker
from tenuto._lint.graph import Graph, Reached
from tenuto._lint.project import Project
from tenuto._lint.registry import all_rules
from tenuto._lint.view import ProjectView


@pytest.mark.parametrize("package", [asyncio, email])
def test_no_rule_fails_on_the_standard_library(package: object) -> None:
    """Every function of asyncio and email, taken for a workflow and then for an activity, is judged without a fault."""
    project = Project()
    for path in sorted(Path(getattr(package, "__file__", "")).parent.rglob("*.py")):
        project.module_at(path)
    assert len(project.modules) > 20
    graph = Graph()
    for module in project.modules:
        for name, facts in module.facts.functions.items():
            if name:
                graph.workflows[module, name] = facts
                graph.reached[module, name] = Reached(module, facts)
    checker = Checker(all_rules().values(), {})
    view = ProjectView(project, graph)
    for module in project.modules:
        checker.check_module(view.module(module))
    list(checker.check_project(view))
    graph.activities, graph.workflows, graph.reached = graph.workflows, {}, {}
    for module in project.modules:
        checker.check_module(view.module(module))
    assert checker.broken == {}
