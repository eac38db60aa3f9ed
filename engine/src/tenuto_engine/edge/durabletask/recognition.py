"""Workers on the other family's listener, served in their own dialect where their first request gives it away.

Most requests do not: then the listener's dialect holds. Answers come on calls of their own; the token says whose they
are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Generic

from google.protobuf.message import DecodeError

from tenuto_engine.edge.durabletask.dialects import DAPR, MICROSOFT, Dialect
from tenuto_engine.edge.durabletask.worker_service import WorkerEdge
from tenuto_engine.edge.handlers import CallContext, Malformed, refuse_malformed
from tenuto_engine.ports.serving import AnySession, WorkerHost

# Of `GetWorkItemsRequest`: capabilities that only Microsoft's workers offer, as numbers of their field 10.
_MICROSOFT_CAPABILITIES = frozenset({2, 3})
_MICROSOFT_METADATA = frozenset({"taskhub", "workerid", "x-user-agent"})
_DAPR_METADATA = frozenset({"dapr-api-token"})


class RawMessage:
    """Stands for a request that is read once it is known in which dialect."""

    FromString = staticmethod(bytes)


class WorkerEdges(Generic[AnySession]):
    """The workers of one listener.

    Args:
        engine: whom their sessions belong to.
        dialect: what those speak that do not give it away.
        new_id: as of `WorkerEdge`.
    """

    def __init__(self, engine: WorkerHost[AnySession], dialect: Dialect, *, new_id: Callable[[], str]) -> None:
        self._dialect = dialect
        self._edges = {one: WorkerEdge(engine, one, new_id=new_id) for one in (DAPR, MICROSOFT)}

    async def work_items(self, data: bytes, context: CallContext) -> AsyncIterator[Any]:
        """The stream of one worker, in its dialect."""
        metadata = frozenset(str(key) for key, _ in context.invocation_metadata() or ())
        dialect = recognised(data, metadata) or self._dialect
        request = await _read(dialect.pb.GetWorkItemsRequest, data, context)
        async for item in self._edges[dialect].work_items(request, context):
            yield item

    async def complete_turn(self, data: bytes, context: CallContext) -> Any:
        """A worker's answer to a turn."""
        dialect = await self._dialect_of(DAPR.pb.TurnEnvelope, data, context)
        response = await _read(dialect.pb.OrchestratorResponse, data, context)
        return await self._edges[dialect].complete_turn(response, context)

    async def complete_activity(self, data: bytes, context: CallContext) -> Any:
        """A worker's answer to an activity."""
        dialect = await self._dialect_of(DAPR.pb.ActivityEnvelope, data, context)
        response = await _read(dialect.pb.ActivityResponse, data, context)
        return await self._edges[dialect].complete_activity(response, context)

    async def abandon_turn(self, data: bytes, context: CallContext) -> Any:
        """A worker gives a turn back."""
        dialect = await self._dialect_of(DAPR.pb.AbandonEnvelope, data, context)
        request = await _read(dialect.pb.AbandonOrchestrationTaskRequest, data, context)
        return await self._edges[dialect].abandon_turn(request, context)

    async def abandon_activity(self, data: bytes, context: CallContext) -> Any:
        """A worker gives an activity back."""
        dialect = await self._dialect_of(DAPR.pb.AbandonEnvelope, data, context)
        request = await _read(dialect.pb.AbandonActivityTaskRequest, data, context)
        return await self._edges[dialect].abandon_activity(request, context)

    async def _dialect_of(self, envelope: Any, data: bytes, context: CallContext) -> Dialect:
        """The dialect of the worker that was sent the item; the listener's where nobody was."""
        token = (await _read(envelope, data, context)).completionToken
        return next((one for one, edge in self._edges.items() if edge.knows(token)), self._dialect)


def recognised(data: bytes, metadata: frozenset[str]) -> Dialect | None:
    """The dialect of a worker by its first request, None where both may have sent it."""
    if metadata & _DAPR_METADATA:
        return DAPR
    if metadata & _MICROSOFT_METADATA:
        return MICROSOFT
    try:
        dapr, microsoft = (
            DAPR.pb.GetWorkItemsRequest.FromString(data),
            MICROSOFT.pb.GetWorkItemsRequest.FromString(data),
        )
    except DecodeError:
        return None
    if dapr.capabilities:
        return DAPR
    shows = microsoft.HasField("workItemFilters") or microsoft.worker_instance_id
    if shows or microsoft.maxConcurrentEntityWorkItems or _MICROSOFT_CAPABILITIES & set(microsoft.capabilities):
        return MICROSOFT
    return None


async def _read(message: Any, data: bytes, context: CallContext) -> Any:
    try:
        return message.FromString(data)
    except DecodeError as error:
        await refuse_malformed(Malformed(message, error), context)
        raise
