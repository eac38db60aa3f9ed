"""Instances that begin with a history: reruns of finished ones, and failed ones rewound."""

from __future__ import annotations

from collections.abc import Sequence

from tenuto_engine.codec.events import encode_event
from tenuto_engine.core.events import Event, ExecutionStarted, RerunStarted
from tenuto_engine.core.rerun import RerunRefused, plan_rerun
from tenuto_engine.core.rewind import plan_rewind
from tenuto_engine.core.status import Status
from tenuto_engine.ports.errors import CommandRefused
from tenuto_engine.ports.inbound import RerunRequest
from tenuto_engine.ports.records import NewInstance
from tenuto_engine.runtime.births import new_instance
from tenuto_engine.runtime.context import Context


def rerun_instance(request: RerunRequest, new_id: str, history: Sequence[Event], context: Context) -> NewInstance:
    """The instance that runs again from one operation of another's history. Raises CommandRefused: invalid."""
    execution_id = context.new_id()
    override = (request.input,) if request.override_input else None
    try:
        plan = plan_rerun(
            history, event_id=request.event_id, instance_id=new_id, execution_id=execution_id, override=override
        )
    except RerunRefused as error:
        text = f"instance '{request.instance_id}' cannot be rerun from event {request.event_id}: {error}"
        raise CommandRefused("invalid", text) from error
    rerun = RerunStarted(request.instance_id, request.event_id, request.requested_by)
    received = [event for event in plan.messages if not isinstance(event, ExecutionStarted)]
    started = next(e for e in [*plan.history, *history] if isinstance(e, ExecutionStarted))
    if not plan.history:
        parts = (new_id, execution_id, started.input, started.version, None, 1, started.trace_parent)
        started = ExecutionStarted(started.name, *parts, foreign=started.foreign)
    messages = [
        (event, f"{execution_id}/rerun/{i}") for i, event in enumerate([*received, rerun] if plan.history else received)
    ]
    return new_instance(
        started,
        start_id=request.command_id or context.new_id(),
        now_ms=context.clock.now_ms(),
        messages=messages,
        history=[encode_event(event) for event in plan.history],
        rerun_of=request.instance_id,
    )


def rewound_instance(
    instance_id: str, history: Sequence[Event], context: Context, *, command_id: str, requested_by: str
) -> NewInstance:
    """The next execution of a failed instance: its history without what failed. It replaces only a failed one."""
    execution_id = context.new_id()
    kept = plan_rewind(history, execution_id=execution_id)
    started = next(event for event in kept if isinstance(event, ExecutionStarted))
    return new_instance(
        started,
        start_id=command_id or context.new_id(),
        now_ms=context.clock.now_ms(),
        messages=[(RerunStarted(instance_id, 0, requested_by), f"{execution_id}/rewind")],
        history=[encode_event(event) for event in kept],
        replace=frozenset({Status.FAILED}),
    )
