"""The context that activity functions receive."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tenuto._worker.activity_run import ActivityRun
from tenuto.errors import ActivityCancelled

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class WorkflowActivityContext:
    """What an activity knows of its call, and how it stays in touch with the engine while it runs."""

    __slots__ = ("_call", "_run")

    def __init__(self, run: ActivityRun) -> None:
        self._call = run.call
        self._run = run

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

    def heartbeat(self, details: Any = None) -> None:
        """Says that this activity is alive; may be called as often as one likes, from any thread.

        A call with a heartbeat timeout fails, and is tried again by its policy, when it has been silent for so long. At
        most three signs of life per timeout are sent, and the latest details with them.

        Args:
            details: how far the work is, for the attempt that may come after this one; see `heartbeat_details`. None:
                what was said before stands.

        Raises:
            PayloadError: the details cannot be encoded.
        """
        self._run.heartbeat(details)

    @property
    def heartbeat_details(self) -> Any:
        """The last details that an earlier run of this call gave to `heartbeat`, as plain JSON values; else None."""
        return self._run.former_details()

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for this run any more: its workflow ended, or one of its timeouts has passed.

        An `async def` is cancelled by itself; a `def` should look here between its steps, and return.
        """
        return self._run.is_cancelled

    @property
    def cancellation_reason(self) -> str:
        """Why the run is cancelled; empty where it is not."""
        return self._run.reason or ""

    def wait_for_cancellation(self, timeout: float | timedelta | None = None) -> bool:
        """Blocks until this run is cancelled, for activities that are a `def`: a pause that ends early.

        Args:
            timeout: seconds, or a duration; None waits without end.

        Returns:
            Whether it is cancelled.
        """
        return self._run.wait(timeout.total_seconds() if isinstance(timeout, timedelta) else timeout)

    def raise_if_cancelled(self) -> None:
        """Raises `ActivityCancelled` where nobody waits for this run any more."""
        if self._run.is_cancelled:
            raise ActivityCancelled(
                f"activity '{self._call.name}' of instance '{self._call.instance_id}' is cancelled: {self._run.reason}"
            )

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
