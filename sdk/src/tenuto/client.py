"""The synchronous client: start, watch and steer workflows from any program that reaches an engine.

It only sends: requests are prepared and answers read by `tenuto._wire.management`, which the asynchronous client
(`tenuto.aio`) shares. Every command carries an id made once per call. Where the engine cannot be reached, the same
request is sent again with growing pauses inside `retry_window`, which is shorter than the time for which the engine
knows the id: a repeat never has a second effect. After that the caller learns whether the request was certainly not
executed (`EngineUnavailable`) or may have been (`OutcomeUnknown`).
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast

import grpc

from tenuto._replay.definitions import name_of
from tenuto._transport.client_channel import ClientSettings, read_settings
from tenuto._transport.requester import default_requester
from tenuto._wire.calls import DEFAULT_RETRY_WINDOW_S, Attempts, Call, Method, check_retry_window
from tenuto._wire.history import HistoryEvent, WorkflowHistory
from tenuto._wire.instances import WorkflowIdReusePolicy, WorkflowPage, WorkflowState, WorkflowStatus
from tenuto._wire.management import METHODS, RESUME, SUSPEND, UNSET, Deadline, Requests
from tenuto._wire.records import EngineInfo, StateRecord, StateRecords
from tenuto._wire.tracing import current_trace_parent
from tenuto.errors import TenutoError
from tenuto.payload import PayloadCodec

__all__ = [
    "DaprWorkflowClient",
    "EngineInfo",
    "HistoryEvent",
    "StateRecord",
    "StateRecords",
    "WorkflowClient",
    "WorkflowHistory",
    "WorkflowIdReusePolicy",
    "WorkflowPage",
    "WorkflowState",
    "WorkflowStatus",
]

R = TypeVar("R")
DEFAULT_RETRY_WINDOW: Final = timedelta(seconds=DEFAULT_RETRY_WINDOW_S)


def new_command_id() -> str:
    """Return 32 random hexadecimal digits."""
    return secrets.token_hex(16)


class WorkflowClient:
    """A connection to one engine, for use from any thread.

    Connecting happens with the first request, and again by itself after a loss. Close the client, or use it as
    a context manager.

    Args:
        host: engine's host; None: taken from `engine`.
        port: engine's port; None: taken from `engine`.
        engine: `HOST:PORT` or `unix:PATH`; None: the environment variable TENUTO_ENGINE, else 127.0.0.1:50001.
        token: sent with every request; None: the content of `token_file`, of TENUTO_TOKEN, or of the file named
            by TENUTO_TOKEN_FILE; with none of them, no token is sent.
        token_file: file with the token, read again when the engine refuses the one read before.
        payload_codec: transforms inputs, outputs and event payloads; must be the workers' codec.
        retry_window: how long a request is repeated while the engine is unavailable; 0 to 100 s, default 60 s.
        requested_by: who commands are said to come from; None: TENUTO_REQUESTED_BY, else user and host.

    Raises:
        ValueError: an argument is out of range or contradicts another.
        OSError: the token file cannot be read.
    """

    _default_reuse = WorkflowIdReusePolicy.REJECT

    def __init__(
        self,
        host: str | None = None,
        port: str | int | None = None,
        *,
        engine: str | None = None,
        token: str | None = None,
        token_file: str | None = None,
        payload_codec: PayloadCodec | None = None,
        retry_window: timedelta = DEFAULT_RETRY_WINDOW,
        requested_by: str | None = None,
    ) -> None:
        self._window_s = check_retry_window(retry_window.total_seconds())
        self._settings: ClientSettings = read_settings(
            host=host, port=port, engine=engine, token=token, token_file=token_file
        )
        self._requests = Requests(
            payload_codec, new_command_id, default_requester() if requested_by is None else requested_by
        )
        self._channel = grpc.insecure_channel(self._settings.target, options=self._settings.options)
        self._invoke = {method.path: _bind(self._channel, method) for method in METHODS}
        self._metadata = self._settings.metadata()
        self._closed = threading.Event()

    # -- start ----------------------------------------------------------------------------------------------------

    def schedule_new_workflow(
        self,
        workflow: str | Callable[..., Any],
        *,
        input: Any = None,  # noqa: A002  # the parameter's name in Dapr's SDK
        instance_id: str | None = None,
        start_at: datetime | None = None,
        reuse_id_policy: WorkflowIdReusePolicy | None = None,
        version: str | None = None,
        trace_parent: str | None = None,
    ) -> str:
        """Start a workflow; the start is durable when this returns, even while no worker is alive.

        Args:
            workflow: the workflow function, or its registered name.
            input: its input; None: none.
            instance_id: 1 to 1,024 bytes of UTF-8 without control characters; None: a random one.
            start_at: when its first turn may run; None or a moment in the past: now. Without time zone: UTC.
            reuse_id_policy: what happens where the id is taken by an instance that has ended; None: it is refused.
            version: the version to pin it to; None: the app's current one.

        Returns:
            The instance id.

        Raises:
            InstanceExists: the id is taken, and the policy does not allow to replace that instance.
            InvalidRequest: an argument is refused; the message says which and why.
            LimitExceeded: for example, the input is larger than 2 MiB.
            EngineUnavailable: nothing was started.
            OutcomeUnknown: it may have been started; the error names the instance id.
        """
        return self._send(
            self._requests.start(
                name_of(workflow),
                value=input,
                instance_id=instance_id,
                start_at=start_at,
                reuse=self._default_reuse if reuse_id_policy is None else reuse_id_policy,
                version=version,
                trace_parent=current_trace_parent() if trace_parent is None else trace_parent,
            )
        )

    # -- look -----------------------------------------------------------------------------------------------------

    def get_workflow_state(self, instance_id: str, *, fetch_payloads: bool = True) -> WorkflowState | None:
        """Return the state of an instance, or None where there is none with this id.

        Args:
            instance_id: the instance.
            fetch_payloads: also fetch input, output and custom status.

        Raises:
            EngineUnavailable: no engine answered.
        """
        return self._send(self._requests.get(instance_id, fetch_payloads=fetch_payloads))

    def wait_for_workflow_start(
        self, instance_id: str, *, fetch_payloads: bool = False, timeout_in_seconds: float = 0
    ) -> WorkflowState:
        """Wait until the first turn of an instance is recorded (or it has ended), and return its state.

        Args:
            instance_id: the instance.
            fetch_payloads: also fetch input, output and custom status.
            timeout_in_seconds: how long to wait at most; 0: for ever.

        Raises:
            WaitTimeout: it did not start in time.
            InstanceNotFound: there is no such instance, or it was purged meanwhile.
            EngineUnavailable: no engine answered for as long as the retry window, or the timeout if that is shorter.
        """
        return self._wait(instance_id, True, fetch_payloads, timeout_in_seconds)

    def wait_for_workflow_completion(
        self, instance_id: str, *, fetch_payloads: bool = True, timeout_in_seconds: float = 0
    ) -> WorkflowState:
        """Wait until an instance has completed, failed or been terminated, and return its state.

        Use `result()` or `raise_if_failed()` of the state to see a failure as an error.

        Args:
            instance_id: the instance.
            fetch_payloads: also fetch input, output and custom status.
            timeout_in_seconds: how long to wait at most; 0: for ever.

        Raises:
            WaitTimeout: it did not end in time.
            InstanceNotFound: there is no such instance, or it was purged meanwhile.
            EngineUnavailable: no engine answered for as long as the retry window, or the timeout if that is shorter.
        """
        return self._wait(instance_id, False, fetch_payloads, timeout_in_seconds)

    def list_workflows(
        self,
        *,
        name: str = "",
        statuses: Iterable[WorkflowStatus] = (),
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        page_size: int = 100,
        page_token: str = "",
        id_prefix: str = "",
        fetch_payloads: bool = False,
    ) -> WorkflowPage:
        """Return one page of instances, newest first.

        Args:
            name: only of this workflow; empty: any.
            statuses: only in one of these; empty: any.
            created_from: only started at or after; None: no bound. Without time zone: UTC.
            created_to: only started before; None: no bound. Without time zone: UTC.
            page_size: how many at most; 1 to 1,000.
            page_token: `next_page_token` of the previous page; empty: the first page.
            id_prefix: only ids that begin so.
            fetch_payloads: also fetch input, output and custom status.

        Raises:
            InvalidRequest: the size or the token is not valid.
            EngineUnavailable: no engine answered.
        """
        return self._send(
            self._requests.list(
                name=name,
                statuses=statuses,
                created_from=created_from,
                created_to=created_to,
                page=(page_size, page_token),
                id_prefix=id_prefix,
                fetch_payloads=fetch_payloads,
            )
        )

    def iter_workflows(
        self,
        *,
        name: str = "",
        statuses: Iterable[WorkflowStatus] = (),
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        page_size: int = 100,
        id_prefix: str = "",
        fetch_payloads: bool = False,
    ) -> Iterator[WorkflowState]:
        """Iterate over the instances of all pages; arguments as for `list_workflows`."""
        wanted, token = tuple(statuses), ""
        while True:
            page = self.list_workflows(
                name=name,
                statuses=wanted,
                created_from=created_from,
                created_to=created_to,
                page_size=page_size,
                page_token=token,
                id_prefix=id_prefix,
                fetch_payloads=fetch_payloads,
            )
            yield from page
            token = page.next_page_token
            if not token:
                return

    def get_workflow_history(self, instance_id: str) -> WorkflowHistory:
        """Return the recorded events of the instance's present execution, in order.

        Raises:
            InstanceNotFound: there is no such instance.
            EngineUnavailable: no engine answered.
        """
        return self._send(self._requests.history(instance_id))

    def get_workflow_records(self, instance_id: str, *, max_records: int = 1000) -> StateRecords:
        """Return the instance's records as the state store holds them, for inspection.

        Args:
            instance_id: the instance.
            max_records: how many at most; 0: the engine's own bound.

        Raises:
            InstanceNotFound: there is no such instance.
            EngineUnavailable: no engine answered.
        """
        return self._send(self._requests.state_records(instance_id, max_records=max_records))

    def get_engine(self) -> EngineInfo:
        """Return facts about the engine that answers: app, version, store, durability, shards, workers."""
        return self._send(self._requests.engine())

    # -- steer ----------------------------------------------------------------------------------------------------

    def raise_workflow_event(self, instance_id: str, event_name: str, *, data: Any = None) -> None:
        """Send an event to an instance; it is kept until the workflow waits for an event of this name.

        Args:
            instance_id: the instance.
            event_name: matched without regard to case.
            data: the payload; None: none.

        Raises:
            InstanceNotFound: there is no such instance.
            LimitExceeded: for example, the payload is larger than 2 MiB.
            EngineUnavailable: the event was not sent.
            OutcomeUnknown: it may have been sent.
        """
        self._send(self._requests.raise_event(instance_id, event_name, data))

    def pause_workflow(self, instance_id: str, *, reason: str = "") -> None:
        """Suspend an instance: it takes no turns until resumed, and keeps all that arrives meanwhile.

        Raises:
            InstanceNotFound: there is no such instance.
            PreconditionFailed: it has ended.
            EngineUnavailable: not executed. OutcomeUnknown: may have been.
        """
        self._send(self._requests.control(SUSPEND, instance_id, reason))

    def resume_workflow(self, instance_id: str, *, reason: str = "") -> None:
        """Let a suspended or stalled instance go on. Errors as for `pause_workflow`."""
        self._send(self._requests.control(RESUME, instance_id, reason))

    def terminate_workflow(
        self, instance_id: str, *, output: Any = None, recursive: bool = True, reason: str = ""
    ) -> None:
        """End an instance; running activities are not interrupted, and their results are dropped.

        Args:
            instance_id: the instance.
            output: becomes its output; None: none.
            recursive: also terminate the child workflows that are open.
            reason: shown with its status.

        Raises:
            InstanceNotFound: there is no such instance.
            PreconditionFailed: it has already ended.
            EngineUnavailable: not executed. OutcomeUnknown: may have been.
        """
        self._send(self._requests.terminate(instance_id, output=output, recursive=recursive, reason=reason))

    def purge_workflow(self, instance_id: str, recursive: bool = True, *, force: bool = False, reason: str = "") -> int:
        """Erase an instance that has ended: no record of it is left.

        Args:
            instance_id: the instance.
            recursive: also erase its child workflows.
            force: terminate it first where it still runs.

        Returns:
            How many instances were erased; 0: there was none.

        Raises:
            InstanceNotFound: there is no such instance.
            PreconditionFailed: it still runs, and `force` is not set.
            EngineUnavailable: not executed. OutcomeUnknown: may have been.
        """
        return self._send(self._requests.purge(instance_id, recursive=recursive, force=force, reason=reason))

    def rerun_workflow_from_event(
        self,
        instance_id: str,
        event_id: int,
        *,
        new_instance_id: str | None = None,
        input: Any = UNSET,  # noqa: A002
        reason: str = "",
    ) -> str:
        """Start a new instance with the history of an ended one up to an operation, which runs again.

        Args:
            instance_id: the instance that has ended.
            event_id: number of the operation (`HistoryEvent.event_id`); its result and all that came after are left
                out; 0: from the beginning.
            new_instance_id: id of the new instance; None: a random one.
            input: replaces the recorded input of that operation; not given: the recorded one.

        Returns:
            The new instance id.

        Raises:
            InstanceNotFound: there is no such instance.
            PreconditionFailed: it has not ended.
            InvalidRequest: no such operation in its history.
            InstanceExists: the new id is taken.
            EngineUnavailable: nothing was started. OutcomeUnknown: it may have been.
        """
        return self._send(
            self._requests.rerun(instance_id, event_id, new_instance_id=new_instance_id, value=input, reason=reason)
        )

    # -- the connection -------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connection; requests and waits under way end with an error. Closing twice is fine."""
        self._closed.set()
        self._channel.close()

    def __enter__(self) -> WorkflowClient:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _wait(self, instance_id: str, for_start: bool, fetch_payloads: bool, timeout_s: float) -> WorkflowState:
        deadline = Deadline(time.monotonic(), timeout_s)
        wait = self._requests.wait(instance_id, for_start=for_start, fetch_payloads=fetch_payloads, deadline=deadline)
        while True:
            state = self._send(wait.next_call(time.monotonic()))
            if wait.is_over(state) and state is not None:
                return state

    def _send(self, call: Call[R]) -> R:
        attempts: Attempts | None = None
        invoke = self._invoke[call.method.path]
        started_at = time.monotonic()
        while True:
            if self._closed.is_set():
                raise TenutoError("this client is closed; make a new one")
            try:
                return call.read(invoke(call.request, call.timeout_s, self._metadata))
            except grpc.RpcError as error:
                code, details = _status_of(error)
                if code is grpc.StatusCode.UNAUTHENTICATED and self._renew_token():
                    continue
                if attempts is None:
                    attempts = Attempts(
                        call, target=self._settings.target, window_s=self._window_s, started_at=started_at
                    )
                now = time.monotonic()
                delay = attempts.next_delay(code, details, now=now, fraction=random.random())
                self._closed.wait(delay)

    def _renew_token(self) -> bool:
        """Read the token file again; True where it holds another token than the one refused."""
        fresh = self._settings.metadata()
        changed = fresh != self._metadata
        self._metadata = fresh
        return changed


class DaprWorkflowClient(WorkflowClient):
    """`WorkflowClient` under the name, and with the defaults, of Dapr's Python SDK.

    As there, the id of an instance that has ended may be used again.

    Args:
        host: engine's host; None: as for `WorkflowClient`.
        port: engine's port; None: as for `WorkflowClient`.
        logger_options: accepted and not needed: this client reports by errors and does not log.
    """

    _default_reuse = WorkflowIdReusePolicy.REPLACE_TERMINAL

    def __init__(
        self,
        host: str | None = None,
        port: str | int | None = None,
        logger_options: object = None,
        *,
        payload_codec: PayloadCodec | None = None,
    ) -> None:
        del logger_options
        super().__init__(host, port, payload_codec=payload_codec)


_Invoke = Callable[[Any, float, "tuple[tuple[str, str], ...] | None"], Any]


def _bind(channel: Any, method: Method) -> _Invoke:  # Any: grpc's types know nothing of messages
    if method.streams:
        stream = channel.unary_stream(method.path, method.encode, method.decode)
        return lambda request, timeout, metadata: list(stream(request, timeout=timeout, metadata=metadata))
    unary = channel.unary_unary(method.path, method.encode, method.decode)
    return lambda request, timeout, metadata: unary(request, timeout=timeout, metadata=metadata)


def _status_of(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    # Every error that a call raises is also a grpc.Call; the base class alone does not say so.
    call = cast(grpc.Call, error)
    return call.code(), call.details() or ""
