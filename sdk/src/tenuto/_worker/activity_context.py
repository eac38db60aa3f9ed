"""The context that activity functions receive."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tenuto._wire.worker import ActivityCall

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class WorkflowActivityContext:
    """What an activity knows of its call."""

    __slots__ = ("_call",)

    def __init__(self, call: ActivityCall) -> None:
        self._call = call

    @property
    def workflow_id(self) -> str:
        """Id of the instance that called."""
        return self._call.instance_id

    @property
    def workflow_name(self) -> str:
        """Name of the workflow that called."""
        return self._call.workflow_name

    @property
    def execution_id(self) -> str:
        """The execution of that instance."""
        return self._call.execution_id

    @property
    def task_id(self) -> int:
        """The call's number in its execution, from 1."""
        return self._call.event_id

    @property
    def activity_name(self) -> str:
        """The name this activity was called by."""
        return self._call.name

    @property
    def attempt(self) -> int:
        """Which try this is, from 1; it grows with each retry of the policy."""
        return self._call.attempt

    @property
    def idempotency_key(self) -> str:
        """The call's identity: the same for every attempt and delivery, and unlike any other call's.

        Give it to systems that drop duplicates: an activity runs at least once, and after a crash perhaps again.
        """
        call = self._call
        return f"{call.instance_id}/{call.execution_id}/{call.event_id}"

    @property
    def trace_parent(self) -> str:
        """The W3C trace context that the call belongs to (`traceparent`, a space, `tracestate`), empty without one.

        Where OpenTelemetry is in use, the activity runs in a span below it, and nothing need be done.
        """
        return self._call.trace_parent

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Logs under `tenuto.activity`; records carry instance, execution, activity, attempt and trace id."""
        call = self._call
        extra = {
            "instance_id": call.instance_id,
            "execution_id": call.execution_id,
            "activity": call.name,
            "attempt": call.attempt,
            "trace_id": call.trace_parent[3:35],
        }
        return _Adapter(logging.getLogger("tenuto.activity"), extra)
