"""`TaskHubSidecarService`, put together: every method of one dialect by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from tenuto_engine.edge.durabletask.client_service import ClientEdge
from tenuto_engine.edge.durabletask.dialects import DAPR, SERVICE, Dialect
from tenuto_engine.edge.durabletask.recognition import RawMessage, WorkerEdges
from tenuto_engine.edge.errors import status_of
from tenuto_engine.edge.handlers import CallContext, Handler, Service, server_stream, service, unary
from tenuto_engine.ports.errors import EngineError
from tenuto_engine.ports.serving import AnySession, Management, WorkerHost

# Methods that exist in the dialects and are left out here, each with what to do instead.
_ENTITIES = (
    "durable entities are not supported by this engine; keep the state in a workflow of its own, or in a database"
)
_LEFT_OUT = {
    "CompleteEntityTask": _ENTITIES,
    "SignalEntity": _ENTITIES,
    "GetEntity": _ENTITIES,
    "QueryEntities": _ENTITIES,
    "CleanEntityStorage": _ENTITIES,
    "AbandonTaskEntityWorkItem": _ENTITIES,
    "SkipGracefulOrchestrationTerminations": "ending many instances at once is not supported; terminate each",
    "CreateTaskHub": "task hubs are not supported by this engine; give each application an engine with its own --app",
    "DeleteTaskHub": "task hubs are not supported by this engine; purge the instances instead",
}


def durabletask_service(
    engine: WorkerHost[AnySession], commands: Management, dialect: Dialect, *, new_id: Callable[[], str]
) -> Service:
    """The handler of one dialect, to register at its server; workers that give themselves away keep their own."""
    pb = dialect.pb
    client = ClientEdge(commands, dialect, app=engine.describe().app, new_id=new_id)
    worker = WorkerEdges(engine, dialect, new_id=new_id)
    plain: dict[str, tuple[Any, type[Any]]] = {
        "Hello": (client.hello, Empty),
        "StartInstance": (client.start, pb.CreateInstanceRequest),
        "GetInstance": (client.get, pb.GetInstanceRequest),
        "RaiseEvent": (client.raise_event, pb.RaiseEventRequest),
        "TerminateInstance": (client.terminate, pb.TerminateRequest),
        "SuspendInstance": (client.suspend, pb.SuspendRequest),
        "ResumeInstance": (client.resume, pb.ResumeRequest),
        "PurgeInstances": (client.purge, pb.PurgeInstancesRequest),
        "QueryInstances": (client.query, pb.QueryInstancesRequest),
    }
    if dialect is DAPR:
        plain["ListInstanceIDs"] = (client.list_ids, pb.ListInstanceIDsRequest)
        plain["GetInstanceHistory"] = (client.history, pb.GetInstanceHistoryRequest)
        plain["RerunWorkflowFromEvent"] = (client.rerun, pb.RerunWorkflowFromEventRequest)
    else:
        plain["ListInstanceIds"] = (client.list_ended_ids, pb.ListInstanceIdsRequest)
        plain["RewindInstance"] = (client.rewind, pb.RewindInstanceRequest)
        plain["RestartInstance"] = (client.restart, pb.RestartInstanceRequest)

    async def wait_start(request: Any, context: CallContext) -> Any:
        return await client.wait(request, context, for_start=True)

    async def wait_completion(request: Any, context: CallContext) -> Any:
        return await client.wait(request, context, for_start=False)

    handlers: dict[str, Handler] = {name: unary(_asked(m), request) for name, (m, request) in plain.items()}
    handlers |= {
        "WaitForInstanceStart": unary(_guarded(wait_start), pb.GetInstanceRequest),
        "WaitForInstanceCompletion": unary(_guarded(wait_completion), pb.GetInstanceRequest),
        "StreamInstanceHistory": server_stream(_streamed(client.stream_history), pb.StreamInstanceHistoryRequest),
        "GetWorkItems": server_stream(worker.work_items, RawMessage),
        "CompleteOrchestratorTask": unary(worker.complete_turn, RawMessage),
        "CompleteWorkflowTask": unary(worker.complete_turn, RawMessage),
        "CompleteActivityTask": unary(worker.complete_activity, RawMessage),
        "AbandonTaskOrchestratorWorkItem": unary(worker.abandon_turn, RawMessage),
        "AbandonTaskActivityWorkItem": unary(worker.abandon_activity, RawMessage),
    }
    handlers |= {name: unary(_left_out(text), Empty) for name, text in _LEFT_OUT.items()}
    return service(SERVICE, handlers)


def _asked(method: Callable[[Any], Any]) -> Any:
    async def call(request: Any, _context: CallContext) -> Any:
        return await method(request)

    return _guarded(call)


def _guarded(method: Callable[[Any, CallContext], Any]) -> Any:
    async def call(request: Any, context: CallContext) -> Any:
        try:
            return await method(request, context)
        except EngineError as error:
            await context.abort(status_of(error), str(error))

    return call


def _streamed(method: Callable[[Any, CallContext], AsyncIterator[Any]]) -> Any:
    async def call(request: Any, context: CallContext) -> AsyncIterator[Any]:
        try:
            async for message in method(request, context):
                yield message
        except EngineError as error:
            await context.abort(status_of(error), str(error))

    return call


def _left_out(text: str) -> Any:
    async def call(_request: Any, context: CallContext) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, text)

    return call
