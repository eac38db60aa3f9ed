"""How many pods a version gets: up at once, down only after fewer were enough for a while.

The wish follows from the backlog; where it was lower than what runs, it is remembered since when, and the most that was
wished since. Losing that memory only makes scaling down later.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil

import msgspec

from tenuto_operator.model.workflow import AutoscalingSpec
from tenuto_operator.plan.observed import VersionCounters


class Memory(msgspec.Struct, frozen=True):
    """`since`: since when fewer pods would be enough; None: they would not. `peak`: the most that was wished since."""

    since: datetime | None = None
    peak: int = 0


class Scaled(msgspec.Struct, frozen=True):
    replicas: int
    memory: Memory


def wish(autoscaling: AutoscalingSpec, counters: VersionCounters, *, running: int) -> int:
    """Return how many pods the work of this moment needs, within the bounds.

    Running activities count beside what waits: a pod whose slots are busy is needed, although nothing waits.
    """
    waiting = ceil(counters.backlog / autoscaling.target_backlog_per_replica)
    share = min(1.0, counters.slots_busy / counters.slots_total) if counters.slots_total else 0.0
    busy = ceil(running * share)
    return min(max(waiting, busy, autoscaling.min_replicas), autoscaling.max_replicas)


def scale(
    autoscaling: AutoscalingSpec, counters: VersionCounters | None, memory: Memory, *, running: int, at: datetime
) -> Scaled:
    """Return how many pods there should be, and what to remember.

    Args:
        autoscaling: the bounds and the target.
        counters: of the version; None, where no engine could be asked, keeps what runs.
        memory: of the look before.
        running: how many pods are wanted now.
        at: the moment of this look.
    """
    low, high = autoscaling.min_replicas, autoscaling.max_replicas
    if counters is None:
        return Scaled(min(max(running, low), high), memory)
    wished = wish(autoscaling, counters, running=running)
    if wished >= running:
        return Scaled(wished, Memory())
    if running > high:
        return Scaled(high, Memory(at, wished))
    if memory.since is None:
        return Scaled(running, Memory(at, wished))
    peak = max(memory.peak, wished)
    if at - memory.since < autoscaling.scale_down_stabilization:
        return Scaled(running, Memory(memory.since, peak))
    # From here on what was the most is all there is, and the next, lower wish begins anew.
    return Scaled(peak, Memory() if wished == peak else Memory(at, wished))
