"""What rules see of a base revision: its project beside today's, and the workflows of both as pairs."""

from __future__ import annotations

import ast
from functools import cached_property
from pathlib import Path

from tenuto._lint.drift.drifting import Difference, Pair, difference, make_pair, pair_up
from tenuto._lint.drift.program import Program, Workflow
from tenuto._lint.drift.revisions import KnownFacts
from tenuto._lint.drift.shape import Place
from tenuto._lint.finding import Edit, Fix, Severity
from tenuto._lint.fixes import apply_edits
from tenuto._lint.graph import build_graph
from tenuto._lint.project import DiskSources, Module, Project
from tenuto._lint.rule import Hit
from tenuto._lint.view import ProjectView


class BaseView:
    """Today's project beside that of a base revision.

    Attributes:
        project: today's, as other rules see it.
        name: what the revision is called.
        base: the base's workflows.
        current: today's workflows.
    """

    def __init__(self, project: ProjectView, base: Project, name: str) -> None:
        self.project = project
        self.name = name
        self.base = Program(base, build_graph(base))
        self.current = Program(project.project, project.graph)

    @cached_property
    def _paired(self) -> tuple[list[Pair], list[Workflow], list[Workflow]]:
        return pair_up(self.base, self.current)

    @property
    def pairs(self) -> list[Pair]:
        """Workflows of the same name at both revisions."""
        return self._paired[0]

    @cached_property
    def renamed(self) -> list[Pair]:
        """Workflows registered under another name today: the same function, or the only one of that name."""
        _, gone, new = self._paired
        pairs: list[Pair] = []
        left = [one for one in new if one.is_registered]
        for old in gone:
            key = (old.scope.module.path, old.scope.qualname)
            same = [one for one in left if (one.scope.module.path, one.scope.qualname) == key]
            same = same or [one for one in left if _is_successor(old, one)]
            if old.is_registered and len(same) == 1:
                left.remove(same[0])
                pairs.append(make_pair(old, same[0], self.base, self.current))
        return pairs

    @property
    def gone(self) -> list[Workflow]:
        """Registered workflows of the base that no workflow of today continues."""
        continued = [pair.base for pair in self.renamed]
        return [one for one in self._paired[1] if one.is_registered and one not in continued]

    @cached_property
    def differences(self) -> list[tuple[Pair, Difference]]:
        """How each workflow changed for executions that began on the base."""
        return [(pair, difference(pair)) for pair in (*self.pairs, *self.renamed)]

    def shown(self, path: Path) -> str:
        """A file as findings of today show it; where it is gone, the first file that is there."""
        modules = self.project.modules
        found = next((module for module in modules if module.path == path), modules[0] if modules else None)
        return "" if found is None else self.project.path_of(found)

    def with_edits(self, module: Module, edits: tuple[Edit, ...]) -> BaseView:
        """The same comparison as it would be with one file edited."""
        text = apply_edits(module.text, edits)
        today = self.project.modules
        project = Project(DiskSources({module.path: text.encode()}), KnownFacts(today))
        for one in today:
            project.module_at(one.path)
        return BaseView(ProjectView(project, build_graph(project)), self.base.project, self.name)

    def hit(
        self,
        place: Place,
        message: str,
        *,
        why: str | None = None,
        breaks: str | None = None,
        instead: str | None = None,
        severity: Severity | None = None,
        fix: Fix | None = None,
    ) -> Hit:
        """A hit at a place of today's code."""
        return Hit(
            node=place.node,
            path=self.project.path_of(place.module),
            function=place.function,
            message=message,
            why=why,
            breaks=breaks,
            instead=instead,
            severity=severity,
            fix=fix,
        )


def definition(workflow: Workflow) -> Place:
    """Where a workflow is defined: its name."""
    node = workflow.scope.node
    word = "async def " if isinstance(node, ast.AsyncFunctionDef) else "def "
    first = node.col_offset + len(word)
    name = ast.Name(node.name, ast.Load(), lineno=node.lineno, col_offset=first, end_lineno=node.lineno)
    name.end_col_offset = first + len(node.name)
    return Place(workflow.scope.module, workflow.scope.qualname, name)


def _is_successor(old: Workflow, new: Workflow) -> bool:
    """Whether a workflow under another name stands in the same file and begins with the same words: `order_v2`."""
    is_same_file = old.scope.module.path == new.scope.module.path
    short, long = sorted((old.name, new.name), key=len)
    return is_same_file and long.startswith(short)
