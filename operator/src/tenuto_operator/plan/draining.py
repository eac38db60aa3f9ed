"""How a version that gets no new instances goes: closed in every shard, empty twice, without pods, gone.

Instances finish on the code they started on, so the pods of a version stay until nothing needs them. The counters are
kept in the commits of history, so zero is exact; yet a start may have been under way when the version was closed. So
zero must be seen twice, with no start between.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from tenuto_operator.model.workflow import DrainSpec
from tenuto_operator.plan.versions import VersionFacts

SECOND_LOOK: Final = timedelta(seconds=5)
"""How far the two looks at zero are apart at least: longer than any operation of an engine waits for its store."""


class Drain(msgspec.Struct, frozen=True):
    """What one look decides.

    `must_close`: shards take roots still. `pods`: Keep, None (scale to zero) or Gone (delete everything of it).
    `empty_since`, `empty_starts`: to be remembered. `is_overdue`: its instances take longer than was allowed.
    """

    state: Literal["Draining", "Drained"]
    pods: Literal["Keep", "None", "Gone"] = "Keep"
    must_close: bool = False
    empty_since: datetime | None = None
    empty_starts: int | None = None
    is_overdue: bool = False


def drain(spec: DrainSpec, facts: VersionFacts, *, at: datetime) -> Drain:
    """Decide what becomes of a version that is neither current nor on its way to become so."""
    remembered, counters = facts.remembered, facts.counters
    since = remembered.since if remembered is not None and remembered.state in {"Draining", "Rejected"} else None
    is_overdue = since is not None and at - since > spec.timeout
    if counters is None:
        # Nobody answered, which is no zero. What was seen before still counts: the number of starts tells later whether
        # anything began meanwhile.
        return Drain(
            "Drained" if remembered is not None and remembered.state == "Drained" else "Draining",
            empty_since=remembered.empty_since if remembered is not None else None,
            empty_starts=remembered.empty_starts if remembered is not None else None,
            is_overdue=is_overdue,
        )
    if not counters.is_closed:
        return Drain("Draining", must_close=True, is_overdue=is_overdue)
    if not counters.is_empty:
        return Drain("Draining", is_overdue=is_overdue)
    empty_since = remembered.empty_since if remembered is not None else None
    if empty_since is None or remembered is None or remembered.empty_starts != counters.started:
        return Drain("Draining", empty_since=at, empty_starts=counters.started)
    spent = at - empty_since
    if spent < SECOND_LOOK:
        return Drain("Draining", empty_since=empty_since, empty_starts=counters.started)
    pods: Literal["Keep", "None", "Gone"] = "Keep"
    if spent >= spec.delete_delay:
        pods = "Gone"
    elif spent >= spec.scaledown_delay:
        pods = "None"
    return Drain("Drained", pods, empty_since=empty_since, empty_starts=counters.started)
