"""How log lines name what they are about: one naming, whoever writes.

`instance`, `execution`, `workflow`, `shard`, and `trace_id` where there is a trace; `event_id` for one operation;
`requested_by` and `reason` for a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenuto_engine.runtime.tracing import trace_id_of

if TYPE_CHECKING:
    from tenuto_engine.ports.records import ActivityKey
    from tenuto_engine.runtime.instance import LiveInstance


def trace_field(trace_parent: str) -> dict[str, str]:
    """The trace, if there is one."""
    trace_id = trace_id_of(trace_parent)
    return {"trace_id": trace_id} if trace_id else {}


def about_call(key: ActivityKey) -> dict[str, str | int]:
    """The fields of a line about an activity call."""
    return {"instance": key.instance_id, "execution": key.execution_id, "event_id": key.event_id}


def about(instance: LiveInstance) -> dict[str, str | int]:
    """The fields of a line about an instance in memory."""
    state = instance.state
    return {
        "instance": instance.id,
        "execution": state.execution_id,
        "workflow": instance.workflow_name(),
        "shard": instance.shard.number,
        **trace_field(state.trace_parent),
    }
