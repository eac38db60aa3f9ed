"""From a failing plan to a small one that still breaks the same invariant: faults, commands and engines are left out.

Greedy, as hypothesis does it: larger pieces first, then single ones, until nothing can go; each try is a whole run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from simulation.plans import Plan

T = TypeVar("T")


def shrink(plan: Plan, still_fails: Callable[[Plan], bool], *, most_tries: int = 400) -> Plan:
    """Return the smallest plan found within so many runs.

    Args:
        plan: one that fails.
        still_fails: whether a plan breaks the same invariant.
        most_tries: runs, after which what was found is good enough.
    """
    tries = 0
    improved = True
    while improved and tries < most_tries:
        improved = False
        for candidate in _smaller(plan):
            tries += 1
            if still_fails(candidate):
                plan, improved = candidate, True
                break
            if tries >= most_tries:
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Simpler plans, the boldest first."""
    replace = msgspec.structs.replace
    for faults in _with_less(plan.faults):
        yield replace(plan, faults=faults)
    targets = list(dict.fromkeys(command.target for command in plan.commands))
    for kept in _with_less(targets):
        yield replace(plan, commands=[command for command in plan.commands if command.target in set(kept)])
    if len(targets) < 4:
        for commands in _with_less(plan.commands):
            yield replace(plan, commands=commands)
    for engines in range(1, plan.engines):
        yield replace(plan, engines=engines)
    for number, command in enumerate(plan.commands):
        if command.twice:
            commands = list(plan.commands)
            commands[number] = replace(command, twice=False)
            yield replace(plan, commands=commands)


def _with_less(items: list[T]) -> Iterator[list[T]]:
    """The list without halves, quarters, ... single items."""
    size = len(items)
    while size:
        for start in range(0, len(items), size):
            if size < len(items) or len(items) == 1 or start == 0:
                yield items[:start] + items[start + size :]
        size //= 2
