"""The clients' half of `TaskHubSidecarService`: translate, ask the runtime, answer as these SDKs expect.

The wire has no command ids, so a repeated call is a new command. Most statuses of gRPC are those of the native API;
where SDKs expect an answer rather than an error (a missing instance), they get it.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from google.protobuf.empty_pb2 import Empty

from tenuto_engine.codec.events import decode_event, decode_failure
from tenuto_engine.core.events import Event
from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.edge.durabletask import foreign
from tenuto_engine.edge.durabletask.dialects import DAPR, Dialect
from tenuto_engine.edge.durabletask.history import HistoryRenderer
from tenuto_engine.edge.durabletask.values import (
    from_ms,
    payload,
    set_failure,
    set_moment,
    set_text,
    status_number,
    statuses_of,
)
from tenuto_engine.edge.handlers import CallContext
from tenuto_engine.ports.errors import CommandRefused
from tenuto_engine.ports.inbound import InstanceView, ListRequest, RerunRequest, StartRequest
from tenuto_engine.ports.serving import Management

_IGNORE, _TERMINATE = 1, 2
_IGNORES_EXISTING = 3  # of `StartRequest.reuse_policy`
_PAGE = 100
_LARGEST_PAGE = 1_000
_HISTORY_CHUNK = 100
# Microsoft's SDK for Python takes messages of 4 MiB, and the last event of a chunk may have 2 MiB of payload.
_PAGE_BYTES = 3 << 20
_CHUNK_BYTES = 1 << 20
_PAGE_WITH_PAYLOADS = 10
_WAIT_SECONDS = 25.0
_REQUESTED_BY = "durabletask client"


class ClientEdge:
    """Serves the clients of one dialect.

    Args:
        commands: what carries out their wishes.
        dialect: what they speak.
        app: this engine's application; requests for another one are refused.
        new_id: makes ids for instances that their starter gave none.
    """

    def __init__(self, commands: Management, dialect: Dialect, *, app: str, new_id: Callable[[], str]) -> None:
        self._commands = commands
        self._app = app
        self._dialect = dialect
        self._new_id = new_id

    async def hello(self, _request: Any) -> Any:
        """SDKs ask this before they connect, and again and again as a sign of life."""
        return Empty()

    # -- starting

    async def start(self, r: Any) -> Any:
        """Create an instance."""
        self._refuse_other_app(r)
        instance_id = r.instanceId or self._new_id()
        kept = self._dialect.pb.ExecutionStartedEvent()
        if r.version.value:
            kept.version.value = r.version.value
        kept.tags.update(r.tags)
        ignores, replaces = await self._reuse(r, instance_id)
        trace = r.parentTraceContext
        started = await self._commands.start(
            StartRequest(
                "",
                r.name,
                instance_id,
                payload(r, "input"),
                from_ms(r.scheduledStartTimestamp),
                reuse_policy=_IGNORES_EXISTING if ignores else 0,
                trace_parent=" ".join(filter(None, (trace.traceParent, trace.traceState.value))),
                foreign=foreign.pack(self._dialect, kept),
                replaces=replaces,
            )
        )
        return self._dialect.pb.CreateInstanceResponse(instanceId=started.instance_id)

    def _refuse_other_app(self, r: Any) -> None:
        if self._dialect is not DAPR or not r.router.targetAppID or r.router.targetAppID == self._app:
            return
        raise CommandRefused(
            "invalid",
            f"an instance was asked of application '{r.router.targetAppID}', but this engine serves "
            f"'{self._app}' alone; leave app_id out, or connect to an engine of that application",
        )

    async def _reuse(self, r: Any, instance_id: str) -> tuple[bool, frozenset[int]]:
        """Whether an existing instance is left alone, and otherwise in which statuses it is replaced."""
        if self._dialect is DAPR and not r.HasField("orchestrationIdReusePolicy"):
            return False, frozenset() if r.enforceUniqueInstanceId else TERMINAL
        policy = r.orchestrationIdReusePolicy
        statuses = statuses_of(policy.replaceableStatus)
        if policy.action == _IGNORE:
            view = await self._commands.get(instance_id, payloads=False)
            return view is not None and view.status in statuses, frozenset()
        if statuses - TERMINAL and await self._end_running(instance_id, statuses):
            statuses |= {int(Status.TERMINATED)}
        return False, statuses

    async def _end_running(self, instance_id: str, statuses: frozenset[int]) -> bool:
        """End an instance that runs in one of these statuses; whether there was one."""
        view = await self._commands.get(instance_id, payloads=False)
        if view is None or view.status in TERMINAL or view.status not in statuses:
            return False
        reason = "replaced by a new start"
        await self._commands.terminate(
            "", instance_id, output=None, recursive=True, reason=reason, requested_by=_REQUESTED_BY
        )
        await self._commands.wait(instance_id, for_start=False, timeout_seconds=_WAIT_SECONDS, payloads=False)
        return True

    async def restart(self, r: Any) -> Any:
        """Run an instance that has ended once more, from its start."""
        view = await self._commands.get(r.instanceId, payloads=True)
        if view is None:
            raise CommandRefused("not_found", f"there is no instance '{r.instanceId}' to restart; check the id")
        if view.status not in TERMINAL:
            raise CommandRefused(
                "precondition",
                f"instance '{r.instanceId}' is {Status(view.status).name} and not in a terminal state; terminate it "
                "first, or wait for its end",
            )
        started = await self._commands.start(
            StartRequest(
                "",
                view.name,
                self._new_id() if r.restartWithNewInstanceId else r.instanceId,
                view.input,
                foreign=view.foreign,
                replaces=TERMINAL,
            )
        )
        return self._dialect.pb.RestartInstanceResponse(instanceId=started.instance_id)

    async def rerun(self, r: Any) -> Any:
        """Run a copy of an instance from one of its operations."""
        self._refuse_other_app(r)
        started = await self._commands.rerun(
            RerunRequest(
                "",
                r.sourceInstanceID,
                r.eventID,
                r.newInstanceID,
                payload(r, "input"),
                r.overwriteInput,
                _REQUESTED_BY,
            )
        )
        return self._dialect.pb.RerunWorkflowFromEventResponse(newInstanceID=started.instance_id)

    async def rewind(self, r: Any) -> Any:
        """Run a failed instance again from what failed."""
        await self._commands.rewind("", r.instanceId, r.reason.value, _REQUESTED_BY)
        return self._dialect.pb.RewindInstanceResponse()

    # -- looking

    async def get(self, r: Any) -> Any:
        """An instance's state; a missing one is no error."""
        self._refuse_other_app(r)
        view = await self._commands.get(r.instanceId, payloads=r.getInputsAndOutputs)
        return self._found(view)

    async def wait(self, r: Any, context: CallContext, *, for_start: bool) -> Any:
        """Answer once the instance has started or ended, for as long as the client waits."""
        while True:
            view = await self._commands.wait(
                r.instanceId, for_start=for_start, timeout_seconds=_WAIT_SECONDS, payloads=r.getInputsAndOutputs
            )
            if view is None or view.status in TERMINAL or (for_start and view.status != Status.PENDING):
                return self._found(view)
            if context.cancelled():
                return self._found(view)

    def _found(self, view: InstanceView | None) -> Any:
        response = self._dialect.pb.GetInstanceResponse(exists=view is not None)
        if view is not None:
            self._write_state(view, response.orchestrationState)
        return response

    def _write_state(self, view: InstanceView, state: Any) -> None:
        state.instanceId, state.name = view.instance_id, view.name
        state.orchestrationStatus = status_number(self._dialect, view.status)
        set_moment(state.createdTimestamp, view.created_at_ms)
        set_moment(state.lastUpdatedTimestamp, view.updated_at_ms or view.created_at_ms)
        if view.completed_at_ms:
            set_moment(state.completedTimestamp, view.completed_at_ms)
        state.executionId.value = view.execution_id
        if view.parent_instance_id:
            state.parentInstanceId.value = view.parent_instance_id
        set_text(state, "input", view.input)
        set_text(state, "output", view.output)
        set_text(state, "customStatus", view.custom_status or None)
        if view.failure and view.status == Status.FAILED:
            set_failure(state.failureDetails, decode_failure(view.failure))
        kept = self._dialect.pb.ExecutionStartedEvent()
        foreign.unpack(self._dialect, view.foreign, kept, shared=True)
        if kept.HasField("version"):
            state.version.CopyFrom(kept.version)
        state.tags.update(kept.tags)

    async def query(self, r: Any) -> Any:
        """A page of instances with their states, shorter than asked for where the payloads are large."""
        query = r.query
        response = self._dialect.pb.QueryInstancesResponse()
        statuses = statuses_of(query.runtimeStatus)
        if query.runtimeStatus and not statuses:
            return response
        most = _page_size(query.maxInstanceCount)
        request = ListRequest(
            statuses=statuses,
            created_from_ms=from_ms(query.createdTimeFrom),
            created_to_ms=from_ms(query.createdTimeTo),
            page_size=min(most, _PAGE_WITH_PAYLOADS) if query.fetchInputsAndOutputs else most,
            page_token=query.continuationToken.value,
            fetch_payloads=query.fetchInputsAndOutputs,
            id_prefix=query.instanceIdPrefix.value,
        )
        states = response.orchestrationState
        while True:
            views, token = await self._commands.list_page(request)
            fitting = self._write_fitting(views, states)
            if fitting < len(views):
                token = await self._token_after(request, views[:fitting])
                break
            left = most - len(states)
            if not token or not left:
                break
            request = msgspec.structs.replace(request, page_token=token, page_size=min(left, request.page_size))
        if token:
            response.continuationToken.value = token
        return response

    def _write_fitting(self, views: list[InstanceView], states: Any) -> int:
        """Add states as long as the message stays within bounds, and one at least; returns how many of these."""
        size = sum(state.ByteSize() for state in states)
        for count, view in enumerate(views):
            self._write_state(view, states.add())
            size += states[-1].ByteSize()
            if size > _PAGE_BYTES and len(states) > 1:
                del states[-1]
                return count
        return len(views)

    async def _token_after(self, request: ListRequest, taken: list[InstanceView]) -> str:
        """The token of the page that follows these, the first ones of a page."""
        if not taken:
            return request.page_token
        shorter = msgspec.structs.replace(request, page_size=len(taken), fetch_payloads=False)
        views, token = await self._commands.list_page(shorter)
        # Where new ones came before them meanwhile, the next page repeats some of these, and none is lost.
        if views[-1].instance_id not in {view.instance_id for view in taken}:
            raise CommandRefused("unavailable", "instances were removed while the page was read; ask for it again")
        return token

    async def list_ids(self, r: Any) -> Any:
        """A page of ids, in Dapr's form: of all instances."""
        views, token = await self._commands.list_page(
            ListRequest(page_size=_page_size(r.pageSize), page_token=r.continuationToken)
        )
        response = self._dialect.pb.ListInstanceIDsResponse(instanceIds=[view.instance_id for view in views])
        if token:
            response.continuationToken = token
        return response

    async def list_ended_ids(self, r: Any) -> Any:
        """A page of ids, in Microsoft's form: of instances that ended within a window, oldest end first."""
        response = self._dialect.pb.ListInstanceIdsResponse()
        wanted = statuses_of(r.runtimeStatus) & TERMINAL if r.runtimeStatus else TERMINAL
        if not wanted:
            return response  # no status at all would mean any to the engine
        first, last = from_ms(r.completedTimeFrom), from_ms(r.completedTimeTo)
        ended = [
            (view.completed_at_ms, view.instance_id)
            for view in await self._all(ListRequest(statuses=frozenset(wanted), page_size=_LARGEST_PAGE))
            if view.completed_at_ms >= first and (not last or view.completed_at_ms < last)
        ]
        after = _read_key(r.lastInstanceKey.value)
        page = sorted(key for key in ended if key > after)[: _page_size(r.pageSize)]
        response.instanceIds.extend(instance_id for _, instance_id in page)
        if page:
            response.lastInstanceKey.value = _write_key(page[-1])
        return response

    async def _all(self, request: ListRequest) -> list[InstanceView]:
        found: list[InstanceView] = []
        token = ""
        while True:
            views, token = await self._commands.list_page(_replaced(request, token))
            found += views
            if not token:
                return found

    async def history(self, r: Any) -> Any:
        """The history of an instance, as its workers see it."""
        response = self._dialect.pb.GetInstanceHistoryResponse()
        renderer = HistoryRenderer(self._dialect, r.instanceId, for_worker=False)
        renderer.render(await self._recorded(r.instanceId), response.events)
        return response

    async def stream_history(self, r: Any, _context: CallContext) -> AsyncIterator[Any]:
        """The same in chunks."""
        recorded = await self._recorded(r.instanceId)
        renderer = HistoryRenderer(self._dialect, r.instanceId, for_worker=r.forWorkItemProcessing)
        chunk, size = self._dialect.pb.HistoryChunk(), 0
        for event in recorded:
            before = len(chunk.events)
            renderer.render([event], chunk.events)
            size += sum(one.ByteSize() for one in chunk.events[before:])
            if size > _CHUNK_BYTES or len(chunk.events) >= _HISTORY_CHUNK:
                yield chunk
                chunk, size = self._dialect.pb.HistoryChunk(), 0
        if chunk.events:
            yield chunk

    async def _recorded(self, instance_id: str) -> list[Event]:
        recorded: list[Event] = []
        found = ""
        async for execution_id, _, page in self._commands.history(instance_id):
            if execution_id != found:
                found, recorded = execution_id, []
            recorded += [decode_event(raw) for raw in page]
        return recorded

    # -- steering

    async def raise_event(self, r: Any) -> Any:
        """Raise an external event; one for an instance that has ended is dropped."""
        self._refuse_other_app(r)
        if self._dialect.shows_stalled:
            view = await self._commands.get(r.instanceId, payloads=False)
            if view is not None and view.status == Status.STALLED:
                text = f"workflow is stalled: {view.status_reason}"
                raise CommandRefused("precondition", text)
        await self._commands.raise_event("", r.instanceId, r.name, payload(r, "input"))
        return self._dialect.pb.RaiseEventResponse()

    async def terminate(self, r: Any) -> Any:
        """End an instance; one that is missing or has ended stays as it is."""
        self._refuse_other_app(r)
        try:
            await self._commands.terminate(
                "",
                r.instanceId,
                output=payload(r, "output"),
                recursive=r.recursive,
                reason="",
                requested_by=_REQUESTED_BY,
            )
        except CommandRefused as refused:
            if refused.kind != "precondition" and (refused.kind != "not_found" or self._dialect is DAPR):
                raise
        return self._dialect.pb.TerminateResponse()

    async def suspend(self, r: Any) -> Any:
        """Pause an instance; one that has ended stays as it is."""
        await self._control(self._commands.suspend, r)
        return self._dialect.pb.SuspendResponse()

    async def resume(self, r: Any) -> Any:
        """Let a paused instance go on."""
        await self._control(self._commands.resume, r)
        return self._dialect.pb.ResumeResponse()

    async def _control(self, command: Any, r: Any) -> None:
        self._refuse_other_app(r)
        try:
            await command("", r.instanceId, r.reason.value, _REQUESTED_BY)
        except CommandRefused as refused:
            if refused.kind != "precondition":
                raise

    async def purge(self, r: Any) -> Any:
        """Erase instances that have ended: one, several, or all that a filter names."""
        self._refuse_other_app(r)
        match r.WhichOneof("request"):
            case "purgeInstanceFilter":
                deleted = await self._purge_found(r.purgeInstanceFilter, recursive=r.recursive)
            case "instanceBatch":
                deleted = 0
                for instance_id in r.instanceBatch.instanceIds:
                    deleted += await self._purge_one(instance_id, recursive=r.recursive)
            case _:
                force = self._dialect is DAPR and r.force
                deleted = await self._purge_one(r.instanceId, recursive=r.recursive, force=force)
        response = self._dialect.pb.PurgeInstancesResponse(deletedInstanceCount=deleted)
        response.isComplete.value = True
        return response

    async def _purge_one(self, instance_id: str, *, recursive: bool, force: bool = False) -> int:
        try:
            return await self._commands.purge(instance_id, recursive=recursive, force=force, requested_by=_REQUESTED_BY)
        except CommandRefused as refused:
            if refused.kind == "not_found" or (refused.kind == "precondition" and self._dialect is not DAPR):
                return 0
            raise

    async def _purge_found(self, wanted: Any, *, recursive: bool) -> int:
        statuses = statuses_of(wanted.runtimeStatus) & TERMINAL if wanted.runtimeStatus else TERMINAL
        if not statuses:
            return 0  # no status at all would mean any to the engine
        found = await self._all(
            ListRequest(
                statuses=frozenset(statuses),
                created_from_ms=from_ms(wanted.createdTimeFrom),
                created_to_ms=from_ms(wanted.createdTimeTo),
                page_size=_LARGEST_PAGE,
            )
        )
        deleted = 0
        for view in found:
            try:
                deleted += await self._purge_one(view.instance_id, recursive=recursive)
            except CommandRefused as refused:
                if refused.kind != "precondition":
                    raise  # else it was started again meanwhile, or a child of it runs: it stays, the others go
        return deleted


def _page_size(wanted: int) -> int:
    return min(wanted, _LARGEST_PAGE) if wanted > 0 else _PAGE


def _replaced(request: ListRequest, token: str) -> ListRequest:
    return msgspec.structs.replace(request, page_token=token)


def _write_key(key: tuple[int, str]) -> str:
    return base64.urlsafe_b64encode(f"{key[0]}:{key[1]}".encode()).decode()


def _read_key(text: str) -> tuple[int, str]:
    if not text:
        return (-1, "")
    try:
        moment, _, instance_id = base64.urlsafe_b64decode(text.encode()).decode().partition(":")
        return int(moment), instance_id
    except ValueError as error:
        raise CommandRefused("invalid", "lastInstanceKey was not made by this API; pass it unchanged") from error
