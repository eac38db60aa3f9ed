"""The native management API: translate, ask the runtime, map refusals to status codes. No rule lives here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

from tenuto_engine import __version__
from tenuto_engine.edge.call_stream import CallStream
from tenuto_engine.edge.errors import status_of
from tenuto_engine.edge.handlers import CallContext, Handler, Service, server_stream, service, stream, unary
from tenuto_engine.edge.records import record_json
from tenuto_engine.ports.errors import EngineError
from tenuto_engine.ports.inbound import InstanceView, ListRequest, RerunRequest, StartRequest
from tenuto_engine.ports.serving import EngineView, Management
from tenuto_proto.v1 import management_pb2 as pb

SERVICE = "tenuto.v1.Management"
_DEFAULT_RECORDS = 10_000


class ManagementService:
    """Serves `tenuto.v1.Management`."""

    def __init__(self, commands: Management, describe: Callable[[], EngineView]) -> None:
        self._commands = commands
        self._describe = describe

    def handler(self) -> Service:
        """The generic handler to register at a server."""
        methods: dict[str, tuple[Callable[[Any], Awaitable[Any]], type[Any]]] = {
            "StartInstance": (self._start, pb.StartInstanceRequest),
            "GetInstance": (self._get, pb.GetInstanceRequest),
            "WaitInstance": (self._wait, pb.WaitInstanceRequest),
            "ListInstances": (self._list, pb.ListInstancesRequest),
            "RaiseEvent": (self._raise_event, pb.RaiseEventRequest),
            "SuspendInstance": (self._suspend, pb.ControlRequest),
            "ResumeInstance": (self._resume, pb.ControlRequest),
            "TerminateInstance": (self._terminate, pb.TerminateRequest),
            "PurgeInstance": (self._purge, pb.PurgeRequest),
            "RerunInstance": (self._rerun, pb.RerunRequest),
            "GetState": (self._state, pb.GetStateRequest),
            "GetEngine": (self._engine_info, pb.GetEngineRequest),
        }
        handlers: dict[str, Handler] = {
            name: unary(_guarded(method), request) for name, (method, request) in methods.items()
        }
        handlers["GetHistory"] = server_stream(self._history, pb.GetHistoryRequest)

        async def calls(_requests: object, context: CallContext) -> None:
            await CallStream(methods, context).serve()

        handlers["Calls"] = stream(calls, pb.CallBatch, pb.AnswerBatch)
        return service(SERVICE, handlers)

    async def _start(self, r: pb.StartInstanceRequest) -> pb.StartInstanceResponse:
        payload = r.input if r.HasField("input") else None
        started = await self._commands.start(
            StartRequest(
                r.command_id, r.name, r.instance_id, payload, r.start_at_ms, r.reuse_policy, r.version, r.trace_parent
            )
        )
        return pb.StartInstanceResponse(
            instance_id=started.instance_id, existed=started.existed, execution_id=started.execution_id
        )

    async def _get(self, r: pb.GetInstanceRequest) -> pb.GetInstanceResponse:
        return _found(await self._commands.get(r.instance_id, payloads=r.fetch_payloads))

    async def _wait(self, r: pb.WaitInstanceRequest) -> pb.GetInstanceResponse:
        view = await self._commands.wait(
            r.instance_id,
            for_start=r.condition == pb.WaitInstanceRequest.STARTED,
            timeout_seconds=r.timeout_ms / 1000,
            payloads=r.fetch_payloads,
        )
        return _found(view)

    async def _list(self, r: pb.ListInstancesRequest) -> pb.ListInstancesResponse:
        views, token = await self._commands.list_page(
            ListRequest(
                r.name,
                frozenset(r.statuses),
                r.created_from_ms,
                r.created_to_ms,
                r.page_size,
                r.page_token,
                r.fetch_payloads,
                r.id_prefix,
            )
        )
        return pb.ListInstancesResponse(instances=[_instance(view) for view in views], next_page_token=token)

    async def _raise_event(self, r: pb.RaiseEventRequest) -> pb.CommandResponse:
        payload = r.payload if r.HasField("payload") else None
        return pb.CommandResponse(
            duplicate=await self._commands.raise_event(r.command_id, r.instance_id, r.name, payload)
        )

    async def _suspend(self, r: pb.ControlRequest) -> pb.CommandResponse:
        return pb.CommandResponse(
            duplicate=await self._commands.suspend(r.command_id, r.instance_id, r.reason, r.requested_by)
        )

    async def _resume(self, r: pb.ControlRequest) -> pb.CommandResponse:
        return pb.CommandResponse(
            duplicate=await self._commands.resume(r.command_id, r.instance_id, r.reason, r.requested_by)
        )

    async def _terminate(self, r: pb.TerminateRequest) -> pb.CommandResponse:
        duplicate = await self._commands.terminate(
            r.command_id,
            r.instance_id,
            output=r.output if r.HasField("output") else None,
            recursive=r.recursive,
            reason=r.reason,
            requested_by=r.requested_by,
        )
        return pb.CommandResponse(duplicate=duplicate)

    async def _purge(self, r: pb.PurgeRequest) -> pb.PurgeResponse:
        deleted = await self._commands.purge(
            r.instance_id, recursive=r.recursive, force=r.force, reason=r.reason, requested_by=r.requested_by
        )
        return pb.PurgeResponse(deleted=deleted)

    async def _rerun(self, r: pb.RerunRequest) -> pb.StartInstanceResponse:
        payload = r.input if r.HasField("input") else None
        started = await self._commands.rerun(
            RerunRequest(
                r.command_id,
                r.instance_id,
                r.event_id,
                r.new_instance_id,
                payload,
                r.override_input,
                r.requested_by,
                r.reason,
            )
        )
        return pb.StartInstanceResponse(
            instance_id=started.instance_id, existed=started.existed, execution_id=started.execution_id
        )

    async def _state(self, r: pb.GetStateRequest) -> pb.GetStateResponse:
        limit = r.max_records or _DEFAULT_RECORDS
        key, shard, stored, records = await self._commands.raw_state(r.instance_id, limit=limit + 1)
        shown = [
            pb.Record(key=name, value=value, json=record_json(name, value, stored)) for name, value in records[:limit]
        ]
        related = [
            pb.Record(key=name, value=text.encode(), json=text)
            for name, text in ((name, json.dumps(what)) for name, what in await self._commands.related(r.instance_id))
        ]
        truncated = len(records) > limit
        return pb.GetStateResponse(store_key=key, shard=shard, records=shown, truncated=truncated, related=related)

    async def _engine_info(self, _r: pb.GetEngineRequest) -> pb.GetEngineResponse:
        engine = self._describe()
        return pb.GetEngineResponse(
            engine_id=engine.engine_id,
            app=engine.app,
            version=engine.version,
            store=engine.store,
            durability=engine.durability,
            durability_verified=engine.durability_verified,
            shards=engine.shards,
            shards_owned=engine.shards_owned,
            workers=engine.workers,
            draining=engine.draining,
            release=__version__,
        )

    async def _history(self, r: pb.GetHistoryRequest, context: CallContext) -> AsyncIterator[pb.HistoryPage]:
        try:
            async for execution_id, first, page in self._commands.history(r.instance_id):
                yield pb.HistoryPage(execution_id=execution_id, first_index=first, events=page)
        except EngineError as error:
            await context.abort(status_of(error), str(error))


def _guarded(method: Callable[[Any], Awaitable[Any]]) -> Callable[[Any, CallContext], Awaitable[Any]]:
    async def call(request: Any, context: CallContext) -> Any:
        try:
            return await method(request)
        except EngineError as error:
            await context.abort(status_of(error), str(error))

    return call


def _found(view: InstanceView | None) -> pb.GetInstanceResponse:
    if view is None:
        return pb.GetInstanceResponse(found=False)
    return pb.GetInstanceResponse(found=True, instance=_instance(view))


def _instance(view: InstanceView) -> pb.Instance:
    return pb.Instance(
        instance_id=view.instance_id,
        execution_id=view.execution_id,
        name=view.name,
        version=view.version,
        status=cast("pb.Status", view.status),
        status_reason=view.status_reason,
        created_at_ms=view.created_at_ms,
        updated_at_ms=view.updated_at_ms,
        completed_at_ms=view.completed_at_ms,
        input=view.input,
        output=view.output,
        failure=view.failure,
        custom_status=view.custom_status,
        history_length=view.history_length,
        history_bytes=view.history_bytes,
        generation=view.generation,
        parent_instance_id=view.parent_instance_id,
        shard=view.shard,
        rerun_of=view.rerun_of,
    )
