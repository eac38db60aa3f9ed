"""How many pods: up at once, down after a while, never on a guess."""

from __future__ import annotations

from datetime import timedelta

import pytest

from operator_world import START
from tenuto_operator.model.workflow import AutoscalingSpec
from tenuto_operator.plan.observed import VersionCounters
from tenuto_operator.plan.scaling import Memory, Scaled, scale, wish

BOUNDS = AutoscalingSpec(min_replicas=2, max_replicas=10, target_backlog_per_replica=20)


@pytest.mark.parametrize(
    ("backlog", "running", "busy", "total", "wanted"),
    [
        (0, 2, 0, 0, 2),  # the lower bound
        (40, 2, 0, 0, 2),
        (41, 2, 0, 0, 3),  # rounded up
        (10_000, 2, 0, 0, 10),  # the upper bound
        (0, 4, 100, 100, 4),  # all slots busy: nobody can be spared
        (0, 4, 51, 100, 3),  # a little more than half
        (0, 4, 0, 100, 2),
        (0, 4, 500, 100, 4),  # more busy than there are: a look between two heartbeats
    ],
)
def test_wish_follows_the_work(backlog: int, running: int, busy: int, total: int, wanted: int) -> None:
    """Pods follow what waits and what runs, whichever needs more, within the bounds."""
    counters = VersionCounters(backlog=backlog, slots_busy=busy, slots_total=total)
    assert wish(BOUNDS, counters, running=running) == wanted


def test_scales_up_at_once() -> None:
    """A larger wish is granted in the same look, and forgets that fewer were enough."""
    scaled = scale(BOUNDS, VersionCounters(backlog=100), Memory(START, 2), running=3, at=START)
    assert scaled == Scaled(5, Memory())


def test_scales_down_after_a_while() -> None:
    """A smaller wish is granted when it lasted, down to the most that was wished meanwhile."""
    first = scale(BOUNDS, VersionCounters(backlog=40), Memory(), running=8, at=START)
    assert first == Scaled(8, Memory(START, 2))
    later = scale(BOUNDS, VersionCounters(backlog=90), first.memory, running=8, at=START + timedelta(minutes=2))
    assert later == Scaled(8, Memory(START, 5))
    last = scale(BOUNDS, VersionCounters(backlog=0), later.memory, running=8, at=START + timedelta(minutes=5))
    assert last == Scaled(5, Memory(START + timedelta(minutes=5), 2))


def test_silence_keeps_what_runs() -> None:
    """While no engine can be asked, the number stays, within the bounds, and so does the memory."""
    memory = Memory(START, 3)
    assert scale(BOUNDS, None, memory, running=7, at=START) == Scaled(7, memory)
    assert scale(BOUNDS, None, memory, running=0, at=START) == Scaled(2, memory)


def test_lowered_bound_holds_at_once() -> None:
    """What runs above a bound that was lowered goes at once, down to the bound."""
    scaled = scale(BOUNDS, VersionCounters(), Memory(), running=15, at=START)
    assert scaled.replicas == 10
