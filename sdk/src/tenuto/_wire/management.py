"""Requests of the management API, prepared, and their answers, read. Pure: both clients send what is made here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.message import Message

from tenuto._payloads import PayloadCodec, to_payload
from tenuto._wire.calls import ATTEMPT_TIMEOUT_S, Call, Method
from tenuto._wire.history import WorkflowHistory, read_history
from tenuto._wire.instances import WorkflowIdReusePolicy, WorkflowPage, WorkflowState, WorkflowStatus
from tenuto._wire.records import EngineInfo, StateRecords, read_engine, read_state
from tenuto.errors import InstanceNotFound, InvalidRequest, WaitTimeout
from tenuto_proto.v1 import management_pb2 as pb

# The engine answers a wait after at most 30 s; a client asks again until the caller's own timeout.
_SLICE_S: Final = 30.0
_SLICE_MARGIN_S: Final = 5.0


class _Unset:
    """The type of `UNSET`."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()
"""Marks an argument as not given, where None is a value."""


def _method(name: str, request: type[Message], response: type[Message], *, streams: bool = False) -> Method:
    return Method(f"/tenuto.v1.Management/{name}", request.SerializeToString, response.FromString, streams)


START: Final = _method("StartInstance", pb.StartInstanceRequest, pb.StartInstanceResponse)
GET: Final = _method("GetInstance", pb.GetInstanceRequest, pb.GetInstanceResponse)
WAIT: Final = _method("WaitInstance", pb.WaitInstanceRequest, pb.GetInstanceResponse)
LIST: Final = _method("ListInstances", pb.ListInstancesRequest, pb.ListInstancesResponse)
RAISE_EVENT: Final = _method("RaiseEvent", pb.RaiseEventRequest, pb.CommandResponse)
SUSPEND: Final = _method("SuspendInstance", pb.ControlRequest, pb.CommandResponse)
RESUME: Final = _method("ResumeInstance", pb.ControlRequest, pb.CommandResponse)
TERMINATE: Final = _method("TerminateInstance", pb.TerminateRequest, pb.CommandResponse)
PURGE: Final = _method("PurgeInstance", pb.PurgeRequest, pb.PurgeResponse)
RERUN: Final = _method("RerunInstance", pb.RerunRequest, pb.StartInstanceResponse)
HISTORY: Final = _method("GetHistory", pb.GetHistoryRequest, pb.HistoryPage, streams=True)
STATE: Final = _method("GetState", pb.GetStateRequest, pb.GetStateResponse)
ENGINE: Final = _method("GetEngine", pb.GetEngineRequest, pb.GetEngineResponse)
METHODS: Final = (
    START, GET, WAIT, LIST, RAISE_EVENT, SUSPEND, RESUME, TERMINATE, PURGE, RERUN, HISTORY, STATE, ENGINE,
)  # fmt: skip


def _unix_ms(moment: datetime | None) -> int:
    if moment is None:
        return 0
    return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _nothing(_answer: object) -> None:
    return None


class Requests:
    """Makes calls for one client: it knows the client's payload codec and where its command ids come from.

    Args:
        codec: transforms encoded payloads on their way to and from the engine; None: JSON as it is.
        new_id: makes a fresh id, unique in the world, for each command.
        requested_by: who commands are said to come from.
    """

    def __init__(self, codec: PayloadCodec | None, new_id: Callable[[], str], requested_by: str = "") -> None:
        self._codec = codec
        self._new_id = new_id
        self._requested_by = requested_by

    def _payload(self, value: Any) -> bytes | None:
        data = to_payload(value)
        return data if data is None or self._codec is None else self._codec.encode(data)

    def _state(self, answer: pb.GetInstanceResponse) -> WorkflowState | None:
        return WorkflowState(answer.instance, self._codec) if answer.found else None

    def start(
        self,
        name: str,
        *,
        value: Any,
        instance_id: str | None,
        start_at: datetime | None,
        reuse: WorkflowIdReusePolicy,
        version: str | None,
        trace_parent: str,
    ) -> Call[str]:
        """Prepare a start. An id is made here if none is given, so that a repeat after a lost answer names it again."""
        command_id = self._new_id()
        instance_id = command_id if instance_id is None else instance_id
        request = _build(
            pb.StartInstanceRequest,
            instance_id,
            command_id=command_id,
            name=name,
            instance_id=instance_id,
            input=self._payload(value),
            start_at_ms=_unix_ms(start_at),
            reuse_policy=reuse.value,
            version=version or "",
            trace_parent=trace_parent,
        )
        return Call(START, request, _started, instance_id, is_command=True)

    def get(self, instance_id: str, *, fetch_payloads: bool) -> Call[WorkflowState | None]:
        request = _build(pb.GetInstanceRequest, instance_id, instance_id=instance_id, fetch_payloads=fetch_payloads)
        return Call(GET, request, self._state, instance_id)

    def list(
        self,
        *,
        name: str,
        statuses: Iterable[WorkflowStatus],
        created_from: datetime | None,
        created_to: datetime | None,
        page: tuple[int, str],
        id_prefix: str,
        fetch_payloads: bool,
    ) -> Call[WorkflowPage]:
        """Prepare one page of a list; `page` is its size and the token where it begins."""
        request = _build(
            pb.ListInstancesRequest,
            "",
            name=name,
            statuses=[status.value for status in statuses],
            created_from_ms=_unix_ms(created_from),
            created_to_ms=_unix_ms(created_to),
            page_size=page[0],
            page_token=page[1],
            id_prefix=id_prefix,
            fetch_payloads=fetch_payloads,
        )
        return Call(LIST, request, self._page)

    def _page(self, answer: pb.ListInstancesResponse) -> WorkflowPage:
        return WorkflowPage([WorkflowState(one, self._codec) for one in answer.instances], answer.next_page_token)

    def raise_event(self, instance_id: str, name: str, value: Any) -> Call[None]:
        request = _build(
            pb.RaiseEventRequest,
            instance_id,
            command_id=self._new_id(),
            instance_id=instance_id,
            name=name,
            payload=self._payload(value),
        )
        return Call(RAISE_EVENT, request, _nothing, instance_id, is_command=True)

    def control(self, method: Method, instance_id: str, reason: str) -> Call[None]:
        """Prepare a suspension or a resumption."""
        request = _build(
            pb.ControlRequest,
            instance_id,
            command_id=self._new_id(),
            instance_id=instance_id,
            reason=reason,
            requested_by=self._requested_by,
        )
        return Call(method, request, _nothing, instance_id, is_command=True)

    def terminate(self, instance_id: str, *, output: Any, recursive: bool, reason: str) -> Call[None]:
        request = _build(
            pb.TerminateRequest,
            instance_id,
            command_id=self._new_id(),
            instance_id=instance_id,
            output=self._payload(output),
            recursive=recursive,
            reason=reason,
            requested_by=self._requested_by,
        )
        return Call(TERMINATE, request, _nothing, instance_id, is_command=True)

    def purge(self, instance_id: str, *, recursive: bool, force: bool, reason: str) -> Call[int]:
        request = _build(
            pb.PurgeRequest,
            instance_id,
            command_id=self._new_id(),
            instance_id=instance_id,
            recursive=recursive,
            force=force,
            reason=reason,
            requested_by=self._requested_by,
        )
        return Call(PURGE, request, _deleted, instance_id, is_command=True)

    def rerun(
        self, instance_id: str, event_id: int, *, new_instance_id: str | None, value: Any, reason: str
    ) -> Call[str]:
        command_id = self._new_id()
        request = _build(
            pb.RerunRequest,
            instance_id,
            command_id=command_id,
            instance_id=instance_id,
            event_id=event_id,
            new_instance_id=command_id if new_instance_id is None else new_instance_id,
            input=None if isinstance(value, _Unset) else self._payload(value),
            override_input=not isinstance(value, _Unset),
            reason=reason,
            requested_by=self._requested_by,
        )
        return Call(RERUN, request, _started, instance_id, is_command=True)

    def history(self, instance_id: str) -> Call[WorkflowHistory]:
        def read(pages: list[pb.HistoryPage]) -> WorkflowHistory:
            return read_history(instance_id, pages, self._codec)

        return Call(HISTORY, _build(pb.GetHistoryRequest, instance_id, instance_id=instance_id), read, instance_id)

    def state_records(self, instance_id: str, *, max_records: int) -> Call[StateRecords]:
        request = _build(pb.GetStateRequest, instance_id, instance_id=instance_id, max_records=max_records)
        return Call(STATE, request, read_state, instance_id)

    def engine(self) -> Call[EngineInfo]:
        return Call(ENGINE, pb.GetEngineRequest(), read_engine)

    def wait(self, instance_id: str, *, for_start: bool, fetch_payloads: bool, deadline: Deadline) -> Wait:
        return Wait(self, instance_id, for_start=for_start, fetch_payloads=fetch_payloads, deadline=deadline)

    def wait_slice(
        self, instance_id: str, *, for_start: bool, fetch_payloads: bool, seconds: float, bounded: bool
    ) -> Call[WorkflowState | None]:
        """Prepare one slice of a wait. `bounded`: the caller's timeout ends with it, so repeats do too."""
        condition = pb.WaitInstanceRequest.STARTED if for_start else pb.WaitInstanceRequest.COMPLETED
        request = _build(
            pb.WaitInstanceRequest,
            instance_id,
            instance_id=instance_id,
            condition=condition,
            timeout_ms=max(1, int(seconds * 1000)),
            fetch_payloads=fetch_payloads,
        )
        timeout_s = seconds + _SLICE_MARGIN_S
        window_s = seconds if bounded else None
        return Call(WAIT, request, self._state, instance_id, timeout_s=timeout_s, window_s=window_s)


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a wait ends: `timeout_s` after `started_at`, in the client's monotonic seconds; a timeout of 0: never."""

    started_at: float
    timeout_s: float

    def left(self, now: float) -> float | None:
        """Return the seconds left, None where there is no end."""
        return self.started_at + self.timeout_s - now if self.timeout_s > 0 else None


class Wait:
    """A wait as a series of calls, each answered within 30 s, so that it outlives engines and load balancers."""

    def __init__(
        self, requests: Requests, instance_id: str, *, for_start: bool, fetch_payloads: bool, deadline: Deadline
    ) -> None:
        self._requests = requests
        self._instance_id = instance_id
        self._for_start = for_start
        self._fetch_payloads = fetch_payloads
        self._deadline = deadline
        self._seen = "never seen"
        self._advice = "Waiting again is safe"

    def next_call(self, now: float) -> Call[WorkflowState | None]:
        """Return the next slice to send.

        Raises:
            WaitTimeout: the caller's timeout is over.
        """
        left = self._deadline.left(now)
        if left is not None and left <= 0:
            goal = "start" if self._for_start else "complete"
            raise WaitTimeout(
                f"instance {self._instance_id!r} did not {goal} within {self._deadline.timeout_s:g} s: "
                f"{self._seen}. {self._advice}"
            )
        return self._requests.wait_slice(
            self._instance_id,
            for_start=self._for_start,
            fetch_payloads=self._fetch_payloads,
            seconds=_SLICE_S if left is None else min(_SLICE_S, left),
            bounded=left is not None and left < ATTEMPT_TIMEOUT_S,
        )

    def is_over(self, state: WorkflowState | None) -> bool:
        """Say whether an answered slice ends the wait.

        Raises:
            InstanceNotFound: there is no such instance (any more).
        """
        if state is None:
            raise missing(self._instance_id)
        status = state.runtime_status
        self._seen = f"last seen {status.name.lower()}"
        if state.status_reason:
            self._seen += f" ({state.status_reason.splitlines()[0]})"
        if status in (WorkflowStatus.STALLED, WorkflowStatus.SUSPENDED):
            self._advice = "It does not go on until it is resumed"
        return status.is_terminal or (self._for_start and status is not WorkflowStatus.PENDING)


def missing(instance_id: str) -> InstanceNotFound:
    """Return the error for an id that no instance has."""
    return InstanceNotFound(
        f"there is no instance {instance_id!r}: it was never started in this engine's app, or was purged",
        instance_id=instance_id,
    )


def _started(answer: pb.StartInstanceResponse) -> str:
    return answer.instance_id


def _deleted(answer: pb.PurgeResponse) -> int:
    return answer.deleted


def _build(kind: Callable[..., Any], instance_id: str, /, **fields: Any) -> Any:
    """Build a message; what protobuf cannot carry (lone surrogates, numbers out of range) is the caller's mistake."""
    try:
        return kind(**fields)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"the request cannot be encoded: {error}", instance_id=instance_id) from error
