"""What clients show of instances: status, state, pages of a list. Views over wire messages, decoded when read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, TypeVar, cast, overload

from tenuto._payloads import PayloadCodec, from_payload
from tenuto._wire.failures import decode_failure
from tenuto.errors import FailureDetails, PayloadError, PreconditionFailed, WorkflowFailed
from tenuto_proto.v1 import management_pb2 as pb

T = TypeVar("T")


class WorkflowStatus(Enum):
    """Where an instance stands.

    PENDING: created, its first turn not yet recorded. STALLED: it cannot progress without help;
    `WorkflowState.status_reason` says why. UNKNOWN: a status of a newer engine.
    """

    UNKNOWN = 0
    PENDING = 1
    RUNNING = 2
    SUSPENDED = 3
    COMPLETED = 4
    FAILED = 5
    TERMINATED = 6
    STALLED = 7

    @property
    def is_terminal(self) -> bool:
        """Whether the instance has ended: completed, failed or terminated."""
        return self in _TERMINAL


_TERMINAL: Final = frozenset({WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.TERMINATED})
_STATUSES: Final = {status.value: status for status in WorkflowStatus}


class WorkflowIdReusePolicy(Enum):
    """What a start does where an instance that has ended has the id. A running one is never replaced."""

    REJECT = pb.StartInstanceRequest.REJECT
    REPLACE_TERMINAL = pb.StartInstanceRequest.REPLACE_TERMINAL
    REPLACE_FAILED = pb.StartInstanceRequest.REPLACE_FAILED
    IGNORE = pb.StartInstanceRequest.IGNORE


def moment(unix_ms: int) -> datetime | None:
    """Return Unix milliseconds as an aware moment in UTC; None for 0."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC) if unix_ms else None


def payload_text(data: bytes) -> str:
    """Return a payload as text: JSON as it is, other bytes (a payload codec's) as `{"base64":"..."}`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f'{{"base64":"{base64.b64encode(data).decode()}"}}'


class WorkflowState:
    """A snapshot of one instance.

    Payloads (`input`, `output`, `custom_status` and their `serialized_` forms) are None where the call that
    returned this state did not fetch them. The attributes are those of Dapr's Python SDK, and more.
    """

    __slots__ = ("_codec", "_instance")

    def __init__(self, instance: pb.Instance, codec: PayloadCodec | None = None) -> None:
        self._instance = instance
        self._codec = codec

    @property
    def instance_id(self) -> str:
        """The instance's id."""
        return self._instance.instance_id

    @property
    def execution_id(self) -> str:
        """The present life of the instance: continue-as-new and id reuse begin another."""
        return self._instance.execution_id

    @property
    def name(self) -> str:
        """The workflow's registered name."""
        return self._instance.name

    @property
    def version(self) -> str:
        """The version that the instance is pinned to; empty where it is not versioned."""
        return self._instance.version

    @property
    def runtime_status(self) -> WorkflowStatus:
        """Where the instance stands."""
        return _STATUSES.get(self._instance.status, WorkflowStatus.UNKNOWN)

    @property
    def status_reason(self) -> str:
        """Why it is suspended, stalled or terminated, or what it waits for (`waiting_for: worker`); may be empty."""
        return self._instance.status_reason

    @property
    def created_at(self) -> datetime:
        """When the start was accepted; UTC."""
        return datetime.fromtimestamp(self._instance.created_at_ms / 1000, UTC)

    @property
    def last_updated_at(self) -> datetime:
        """When its record last changed; UTC."""
        return datetime.fromtimestamp(self._instance.updated_at_ms / 1000, UTC)

    @property
    def completed_at(self) -> datetime | None:
        """When it ended; UTC. None while it has not."""
        return moment(self._instance.completed_at_ms)

    @property
    def parent_instance_id(self) -> str:
        """The instance that started this one as a child; empty for a root."""
        return self._instance.parent_instance_id

    @property
    def rerun_of(self) -> str:
        """The instance whose history this rerun began with; empty where it is none."""
        return self._instance.rerun_of

    @property
    def generation(self) -> int:
        """Counts continue-as-new, from 1."""
        return self._instance.generation

    @property
    def history_length(self) -> int:
        """Events in the history of this execution."""
        return self._instance.history_length

    @property
    def history_bytes(self) -> int:
        """Encoded size of that history, in bytes."""
        return self._instance.history_bytes

    @property
    def shard(self) -> int:
        """The partition of the store that holds the instance."""
        return self._instance.shard

    @property
    def serialized_input(self) -> str | None:
        """The input as JSON text; None where it is None or was not fetched."""
        return self._text("input")

    @property
    def serialized_output(self) -> str | None:
        """The output as JSON text; None where there is none or it was not fetched."""
        return self._text("output")

    @property
    def serialized_custom_status(self) -> str | None:
        """The custom status as JSON text; None where there is none or it was not fetched."""
        return self._text("custom_status")

    @property
    def input(self) -> Any:
        """The input, decoded as plain JSON."""
        return from_payload(self._bytes("input"))

    @property
    def output(self) -> Any:
        """The output, decoded as plain JSON. Use `result` to decode it as a type, and to see failures as errors."""
        return from_payload(self._bytes("output"))

    @property
    def custom_status(self) -> Any:
        """What the workflow last gave to `set_custom_status`, decoded as plain JSON."""
        return from_payload(self._bytes("custom_status"))

    @property
    def failure_details(self) -> FailureDetails | None:
        """Why the instance failed; None where it did not."""
        return decode_failure(self._instance.failure)

    def raise_if_failed(self) -> None:
        """Do nothing unless the instance failed or was terminated.

        Raises:
            WorkflowFailed: with the recorded failure as `details`.
        """
        status = self.runtime_status
        if status is WorkflowStatus.FAILED:
            details = self.failure_details or FailureDetails(self.status_reason or "no failure recorded", "Unknown")
        elif status is WorkflowStatus.TERMINATED:
            details = FailureDetails(self.status_reason or "terminated by request", "Terminated", non_retryable=True)
        else:
            return
        raise WorkflowFailed(
            f"workflow {self.name!r}, instance {self.instance_id!r}, {status.name.lower()}: {details}",
            details,
            instance_id=self.instance_id,
        )

    @overload
    def result(self) -> Any: ...
    @overload
    def result(self, annotation: type[T]) -> T: ...
    def result(self, annotation: Any = Any) -> Any:
        """Return the output of a completed instance, decoded as `annotation` (plain JSON by default).

        Raises:
            WorkflowFailed: the instance failed or was terminated.
            PreconditionFailed: it has not ended; wait for its completion first.
            PayloadError: the output does not fit the annotation.
        """
        self.raise_if_failed()
        if self.runtime_status is not WorkflowStatus.COMPLETED:
            raise PreconditionFailed(
                f"instance {self.instance_id!r} is {self.runtime_status.name.lower()} and has no result yet; "
                "use wait_for_workflow_completion",
                instance_id=self.instance_id,
            )
        return from_payload(self._bytes("output"), annotation)

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values; moments in ISO 8601, payloads decoded and as text."""
        completed_at = self.completed_at
        found: dict[str, Any] = {
            "instance_id": self.instance_id,
            "execution_id": self.execution_id,
            "name": self.name,
            "version": self.version,
            "runtime_status": self.runtime_status.name,
            "status_reason": self.status_reason,
            "created_at": self.created_at.isoformat(),
            "last_updated_at": self.last_updated_at.isoformat(),
            "completed_at": None if completed_at is None else completed_at.isoformat(),
            "history_length": self.history_length,
            "history_bytes": self.history_bytes,
            "generation": self.generation,
            "parent_instance_id": self.parent_instance_id,
            "rerun_of": self.rerun_of,
            "shard": self.shard,
            "serialized_input": self.serialized_input,
            "serialized_output": self.serialized_output,
            "serialized_custom_status": self.serialized_custom_status,
        }
        if (failure := self.failure_details) is not None:
            found["failure_details"] = failure_json(failure)
        return found

    def __repr__(self) -> str:
        return (
            f"WorkflowState(instance_id={self.instance_id!r}, name={self.name!r}, "
            f"runtime_status={self.runtime_status.name}, history_length={self.history_length})"
        )

    def __str__(self) -> str:
        return json.dumps(self.to_json(), indent=4, sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkflowState) and self._instance == other._instance

    __hash__ = None  # type: ignore[assignment]  # a snapshot compares by content, and wire messages have no hash

    def _bytes(self, field: str) -> bytes | None:
        if not self._instance.HasField(cast(Any, field)):
            return None
        data: bytes = getattr(self._instance, field)
        if self._codec is None:
            return data
        try:
            return self._codec.decode(data)
        except Exception as error:  # A codec is user code, and may raise anything for bytes it does not know.
            raise PayloadError(
                f"the payload codec could not decode the {field.replace('_', ' ')} of instance "
                f"{self.instance_id!r}: {error!r}; was it written with another codec?"
            ) from error

    def _text(self, field: str) -> str | None:
        data = self._bytes(field)
        return None if data is None else payload_text(data)


def failure_json(failure: FailureDetails) -> dict[str, Any]:
    """Return a failure and its causes as JSON-compatible values, under the names that Dapr's SDK gives them."""
    return {
        "message": failure.message,
        "error_type": failure.error_type,
        "stack_trace": failure.stack_trace,
        "non_retryable": failure.non_retryable,
        "cause": None if failure.cause is None else failure_json(failure.cause),
    }


class WorkflowPage:
    """One page of a list, newest instances first; iterating over it gives its states.

    Args:
        workflows: the states.
        next_page_token: pass it as `page_token` for the next page; empty where this is the last.
    """

    __slots__ = ("next_page_token", "workflows")

    def __init__(self, workflows: list[WorkflowState], next_page_token: str) -> None:
        self.workflows = workflows
        self.next_page_token = next_page_token

    def __iter__(self) -> Iterator[WorkflowState]:
        return iter(self.workflows)

    def __len__(self) -> int:
        return len(self.workflows)

    def __repr__(self) -> str:
        return f"WorkflowPage({len(self.workflows)} workflows, next_page_token={self.next_page_token!r})"
