"""Who calls whom: which functions are workflows and activities, and what runs inside a workflow, by which chain.

Activities are cut points: what they reach is theirs. A workflow is a function that is decorated or registered as one or
is called as a child; and, of the others, a generator or coroutine that calls operations on its first parameter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tenuto._lint.facts import FunctionFacts
from tenuto._lint.project import Found, Module, Project

Key = tuple[Module, str]
_IMPLICIT = ("__new__", "__init__", "__post_init__")


@dataclass(eq=False, slots=True)
class Reached:
    """A function that runs inside a workflow.

    Attributes:
        module: where it is.
        facts: the function.
        caller: what calls it on the shortest way from a workflow; None for a workflow itself.
        line: where the caller does so.
        workflows: how many workflows reach it.
    """

    module: Module
    facts: FunctionFacts
    caller: Reached | None = None
    line: int = 0
    workflows: int = 1

    @property
    def is_workflow(self) -> bool:
        return self.caller is None


@dataclass(slots=True)
class Graph:
    """The functions of a project by role.

    Attributes:
        workflows: in the order found.
        activities: likewise.
        reached: what runs inside workflows, the workflows included.
        names: literal names that workflows and activities are registered by, or would be by default: kind -> names.
    """

    workflows: dict[Key, FunctionFacts] = field(default_factory=dict[Key, FunctionFacts])
    activities: dict[Key, FunctionFacts] = field(default_factory=dict[Key, FunctionFacts])
    reached: dict[Key, Reached] = field(default_factory=dict[Key, Reached])
    names: dict[str, set[str]] = field(default_factory=lambda: {"workflow": set(), "activity": set()})
    _roles: dict[Path, list[str]] | None = None

    def roles_in(self, path: Path) -> str:
        """Return which functions of a file are workflows, and which activities, as one text to compare."""
        if self._roles is None:
            self._roles = {}
            for mark, roles in (("w", self.workflows), ("a", self.activities)):
                for module, name in roles:
                    self._roles.setdefault(module.path, []).append(f"{mark}:{name}")
        return ",".join(sorted(self._roles.get(path, ())))


def build_graph(project: Project, extra: Sequence[Key] = (), *, only_extra: bool = False) -> Graph:
    """Return the graph of all modules read so far and of those that workflows lead to.

    Args:
        project: its modules; following calls may read more of them.
        extra: functions to take for workflows whatever they look like.
        only_extra: whether to follow the calls of these alone.
    """
    while True:
        known = len(project.modules)
        graph = _roles(project)
        for key in extra:
            graph.activities.pop(key, None)
            graph.workflows[key] = key[0].facts.functions[key[1]]
        _reach(project, graph, list(extra if only_extra else graph.workflows))
        inferred = [] if only_extra else [key for key in _inferred(project, graph) if key not in graph.reached]
        graph.workflows.update((key, key[0].facts.functions[key[1]]) for key in inferred)
        _reach(project, graph, inferred)
        # What following calls has read may register more: look again with it.
        if len(project.modules) == known:
            return graph


def chain_of(reached: Reached) -> list[tuple[Module, int, str]]:
    """Return the hops from the workflow to a function: module, line of the call there, function; its own line last."""
    hops: list[tuple[Module, int, str]] = []
    at: Reached | None = reached
    line = reached.facts.line
    while at is not None:
        hops.append((at.module, line, at.facts.name))
        line, at = at.line, at.caller
    return hops[::-1]


def _roles(project: Project) -> Graph:
    graph = Graph()
    for module in project.modules:
        for facts in module.facts.functions.values():
            for mark in facts.marks:
                _take(graph, mark, (module, facts.name), facts.registered_as)
            if facts.first_is_activity:
                graph.activities.setdefault((module, facts.name), facts)
        for registration in module.facts.registrations:
            if registration.registered_as:
                graph.names[registration.kind].add(registration.registered_as)
            for found in project.resolve_all(registration.names, module):
                if found.function is not None and found.module is not None:
                    _take(graph, registration.kind, (found.module, found.local), registration.registered_as)
    return graph


def _take(graph: Graph, kind: str, key: Key, registered_as: str) -> None:
    facts = key[0].facts.functions[key[1]]
    (graph.workflows if kind == "workflow" else graph.activities)[key] = facts
    graph.names[kind].add(registered_as or facts.name.rpartition(".")[2])


def _inferred(project: Project, graph: Graph) -> Iterator[Key]:
    for module in project.modules:
        for facts in module.facts.functions.values():
            waits = facts.is_async or facts.is_generator
            key = module, facts.name
            if waits and facts.uses_context and key not in graph.activities and key not in graph.workflows:
                yield key


def _reach(project: Project, graph: Graph, roots: list[Key]) -> None:
    """Follow calls from workflows, shortest ways first, and count for each function how many workflows reach it."""
    edges: dict[Key, list[tuple[Key, int]]] = {}
    fresh = {key: Reached(key[0], key[0].facts.functions[key[1]], workflows=0) for key in roots}
    graph.reached.update((key, one) for key, one in fresh.items() if key not in graph.reached)
    queue = deque(fresh)
    while queue:
        key = queue.popleft()
        edges[key] = list(_edges(project, graph, key))
        for callee, line in edges[key]:
            if callee not in graph.reached:
                facts = callee[0].facts.functions[callee[1]]
                graph.reached[callee] = Reached(callee[0], facts, graph.reached[key], line, workflows=0)
                queue.append(callee)
    for root in roots:
        seen = {root}
        stack = [root]
        while stack:
            key = stack.pop()
            graph.reached[key].workflows += 1
            for callee, _ in edges.get(key, ()):
                if callee not in seen:
                    seen.add(callee)
                    stack.append(callee)


def _edges(project: Project, graph: Graph, key: Key) -> Iterator[tuple[Key, int]]:
    """What a function calls or hands on, activities left out."""
    module, name = key
    for ref in module.facts.functions[name].refs:
        for found in called_functions(project, module, ref.name, is_call=ref.is_call):
            if found.module is not None and (callee := (found.module, found.local)) not in graph.activities:
                yield callee, ref.line


def called_functions(project: Project, module: Module, raw: str, *, is_call: bool) -> Iterator[Found]:
    """Return the functions of the project that run when a name is called, or read."""
    for found in project.resolve(raw, module):
        if found.kind == "function":
            yield found
        elif is_call and found.kind == "class":
            yield from _methods(project, Found("instance", found.name, found.module, found.local), _IMPLICIT)
        elif is_call and found.kind == "instance":
            yield from _methods(project, found, ("__call__",))
    base, _, attribute = raw.rpartition(".")
    if base and not is_call:
        for found in project.resolve(base, module):
            if found.kind == "instance":
                yield from (
                    one for one in _methods(project, found, (attribute,)) if one.function and one.function.is_property
                )


def _methods(project: Project, instance: Found, names: Iterable[str]) -> Iterator[Found]:
    for name in names:
        yield from (one for one in project.method(instance, name) if one.kind == "function")
