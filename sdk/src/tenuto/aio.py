"""The asynchronous client: `tenuto.client` on an event loop, request for request.

What is sent, repeated and raised is decided by the code that both share (`tenuto._wire`); arguments, results and
errors are those of the synchronous methods of the same name.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import grpc
import grpc.aio

from tenuto._replay.definitions import name_of
from tenuto._transport.call_stream import CallStream
from tenuto._transport.client_channel import ClientSettings, read_settings
from tenuto._transport.requester import default_requester
from tenuto._wire.calls import Attempts, Call, Method, check_retry_window
from tenuto._wire.history import WorkflowHistory
from tenuto._wire.instances import WorkflowIdReusePolicy, WorkflowPage, WorkflowState, WorkflowStatus
from tenuto._wire.management import METHODS, RESUME, SUSPEND, UNSET, Deadline, Requests
from tenuto._wire.records import EngineInfo, StateRecords
from tenuto._wire.tracing import current_trace_parent
from tenuto.client import DEFAULT_RETRY_WINDOW, new_command_id
from tenuto.errors import TenutoError
from tenuto.payload import PayloadCodec

__all__ = ["DaprWorkflowClient", "WorkflowClient"]

R = TypeVar("R")


class WorkflowClient:
    """A connection to one engine, for use on one event loop by any number of tasks.

    Close it, or use it as an asynchronous context manager. Cancelling a call gives up waiting for the answer: the
    command may have been executed.

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
        self._channel = grpc.aio.insecure_channel(self._settings.target, options=self._settings.options)
        self._calls = CallStream(self._channel)
        self._invoke = {method.path: _bind(self._channel, self._calls, method) for method in METHODS}
        self._metadata = self._settings.metadata()
        self._is_closed = False

    async def schedule_new_workflow(
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
        """Start a workflow and return its instance id; the start is durable then."""
        return await self._send(
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

    async def get_workflow_state(self, instance_id: str, *, fetch_payloads: bool = True) -> WorkflowState | None:
        """Return the state of an instance, or None where there is none with this id."""
        return await self._send(self._requests.get(instance_id, fetch_payloads=fetch_payloads))

    async def wait_for_workflow_start(
        self, instance_id: str, *, fetch_payloads: bool = False, timeout_in_seconds: float = 0
    ) -> WorkflowState:
        """Wait until the first turn of an instance is recorded (or it has ended); a timeout of 0 means for ever."""
        return await self._wait(instance_id, True, fetch_payloads, timeout_in_seconds)

    async def wait_for_workflow_completion(
        self, instance_id: str, *, fetch_payloads: bool = True, timeout_in_seconds: float = 0
    ) -> WorkflowState:
        """Wait until an instance has completed, failed or been terminated; a timeout of 0 means for ever."""
        return await self._wait(instance_id, False, fetch_payloads, timeout_in_seconds)

    async def list_workflows(
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
        """Return one page of instances, newest first."""
        return await self._send(
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

    async def iter_workflows(
        self,
        *,
        name: str = "",
        statuses: Iterable[WorkflowStatus] = (),
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        page_size: int = 100,
        id_prefix: str = "",
        fetch_payloads: bool = False,
    ) -> AsyncIterator[WorkflowState]:
        """Iterate over the instances of all pages; arguments as for `list_workflows`."""
        wanted, token = tuple(statuses), ""
        while True:
            page = await self.list_workflows(
                name=name,
                statuses=wanted,
                created_from=created_from,
                created_to=created_to,
                page_size=page_size,
                page_token=token,
                id_prefix=id_prefix,
                fetch_payloads=fetch_payloads,
            )
            for state in page:
                yield state
            token = page.next_page_token
            if not token:
                return

    async def get_workflow_history(self, instance_id: str) -> WorkflowHistory:
        """Return the recorded events of the instance's present execution, in order."""
        return await self._send(self._requests.history(instance_id))

    async def get_workflow_records(self, instance_id: str, *, max_records: int = 1000) -> StateRecords:
        """Return the instance's records as the state store holds them, for inspection."""
        return await self._send(self._requests.state_records(instance_id, max_records=max_records))

    async def get_engine(self) -> EngineInfo:
        """Return facts about the engine that answers: app, version, store, durability, shards, workers."""
        return await self._send(self._requests.engine())

    async def raise_workflow_event(self, instance_id: str, event_name: str, *, data: Any = None) -> None:
        """Send an event to an instance; it is kept until the workflow waits for an event of this name."""
        await self._send(self._requests.raise_event(instance_id, event_name, data))

    async def pause_workflow(self, instance_id: str, *, reason: str = "") -> None:
        """Suspend an instance: it takes no turns until resumed, and keeps all that arrives meanwhile."""
        await self._send(self._requests.control(SUSPEND, instance_id, reason))

    async def resume_workflow(self, instance_id: str, *, reason: str = "") -> None:
        """Let a suspended or stalled instance go on."""
        await self._send(self._requests.control(RESUME, instance_id, reason))

    async def terminate_workflow(
        self, instance_id: str, *, output: Any = None, recursive: bool = True, reason: str = ""
    ) -> None:
        """End an instance, and its open children where `recursive`."""
        await self._send(self._requests.terminate(instance_id, output=output, recursive=recursive, reason=reason))

    async def purge_workflow(
        self, instance_id: str, recursive: bool = True, *, force: bool = False, reason: str = ""
    ) -> int:
        """Erase an instance that has ended and return how many were erased; `force` terminates it first."""
        return await self._send(self._requests.purge(instance_id, recursive=recursive, force=force, reason=reason))

    async def rerun_workflow_from_event(
        self,
        instance_id: str,
        event_id: int,
        *,
        new_instance_id: str | None = None,
        input: Any = UNSET,  # noqa: A002
        reason: str = "",
    ) -> str:
        """Start a new instance with the history of an ended one up to an operation, which runs again."""
        return await self._send(
            self._requests.rerun(instance_id, event_id, new_instance_id=new_instance_id, value=input, reason=reason)
        )

    async def close(self) -> None:
        """Close the connection; requests and waits under way end with an error. Closing twice is fine."""
        self._is_closed = True
        await self._calls.close()
        await self._channel.close(None)

    async def __aenter__(self) -> WorkflowClient:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def _wait(self, instance_id: str, for_start: bool, fetch_payloads: bool, timeout_s: float) -> WorkflowState:
        deadline = Deadline(time.monotonic(), timeout_s)
        wait = self._requests.wait(instance_id, for_start=for_start, fetch_payloads=fetch_payloads, deadline=deadline)
        while True:
            state = await self._send(wait.next_call(time.monotonic()))
            if wait.is_over(state) and state is not None:
                return state

    async def _send(self, call: Call[R]) -> R:
        attempts: Attempts | None = None
        invoke = self._invoke[call.method.path]
        started_at = time.monotonic()
        while True:
            if self._is_closed:
                raise TenutoError("this client is closed; make a new one")
            try:
                return call.read(await invoke(call.request, call.timeout_s, self._metadata))
            except grpc.aio.AioRpcError as error:
                code, details = error.code(), error.details() or ""
                if code is grpc.StatusCode.UNAUTHENTICATED and self._renew_token():
                    continue
                if attempts is None:
                    attempts = Attempts(
                        call, target=self._settings.target, window_s=self._window_s, started_at=started_at
                    )
                now = time.monotonic()
                await asyncio.sleep(attempts.next_delay(code, details, now=now, fraction=random.random()))

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


_Invoke = Callable[[Any, float, "tuple[tuple[str, str], ...] | None"], Awaitable[Any]]


def _bind(channel: Any, calls: CallStream, method: Method) -> _Invoke:  # Any: grpc's types know nothing of messages
    if method.streams:
        stream = channel.unary_stream(method.path, method.encode, method.decode)

        async def collect(request: Any, timeout: float, metadata: tuple[tuple[str, str], ...] | None) -> list[Any]:
            return [one async for one in stream(request, timeout=timeout, metadata=metadata)]

        return collect
    name = method.path.rpartition("/")[2]

    async def invoke(request: Any, timeout: float, metadata: tuple[tuple[str, str], ...] | None) -> Any:
        return method.decode(await calls.invoke(name, method.encode(request), timeout_s=timeout, metadata=metadata))

    return invoke
