"""Workers and clients of the Durable Task dialects without an SDK: they send what a test says, when it says so."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Self

import grpc
import grpc.aio

from tenuto_engine.edge.durabletask.dialects import DAPR, SERVICE, Dialect
from tenuto_engine.edge.handlers import END_OF_STREAM
from tenuto_proto.durabletask import dapr_pb2, microsoft_pb2

SECONDS = 20
# Methods whose answer is not named after them.
_ANSWERS = {
    "StartInstance": "CreateInstanceResponse",
    "TerminateInstance": "TerminateResponse",
    "SuspendInstance": "SuspendResponse",
    "ResumeInstance": "ResumeResponse",
    "WaitForInstanceStart": "GetInstanceResponse",
    "WaitForInstanceCompletion": "GetInstanceResponse",
    "CompleteOrchestratorTask": "CompleteTaskResponse",
    "CompleteActivityTask": "CompleteTaskResponse",
    "AbandonTaskOrchestratorWorkItem": "AbandonOrchestrationTaskResponse",
}


class Peer:
    """A channel to an engine, as an asynchronous context manager; one dialect is spoken over it.

    Args:
        address: of the listener.
        dialect: what it speaks.
        largest: bytes of a message that this peer takes; -1: any.
    """

    def __init__(self, address: str, dialect: Dialect = DAPR, *, largest: int = 4 << 20) -> None:
        self.pb: Any = dapr_pb2 if dialect is DAPR else microsoft_pb2
        self._address = address
        self._options = [("grpc.max_receive_message_length", largest)]
        self._channel: Any = None

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._address, options=self._options)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._channel.close()

    async def call(self, method: str, request: Any) -> Any:
        """Ask, and return the answer."""
        answer = getattr(self.pb, _ANSWERS.get(method, f"{method}Response"))
        ask = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return await ask(request, timeout=SECONDS)

    async def start(self, instance_id: str, name: str = "flow", **fields: Any) -> None:
        """Start an instance."""
        await self.call("StartInstance", self.pb.CreateInstanceRequest(instanceId=instance_id, name=name, **fields))

    async def state(self, instance_id: str) -> Any:
        """An instance's state, with its payloads."""
        request = self.pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
        return (await self.call("GetInstance", request)).orchestrationState

    async def ended(self, instance_id: str) -> Any:
        """An instance's state, once it has ended."""
        request = self.pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
        return (await self.call("WaitForInstanceCompletion", request)).orchestrationState

    def stream(self, method: str, request: Any, answer: type[Any]) -> Any:
        """The call of a method that answers with a stream."""
        open_stream = self._channel.unary_stream(
            f"/{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return open_stream(request)

    async def worker(self, **fields: Any) -> WorkItems:
        """A worker whose stream is open. `fields`: of its `GetWorkItemsRequest`."""
        items = self.stream("GetWorkItems", self.pb.GetWorkItemsRequest(**fields), self.pb.WorkItem)
        await items.initial_metadata()
        return WorkItems(self, items)

    # -- what workers answer

    def action(self, action_id: int = 1, **fields: Any) -> Any:
        """An action, for example `action(1, scheduleTask=pb.ScheduleTaskAction(name="double"))`."""
        return self.pb.OrchestratorAction(id=action_id, **fields)

    def schedule(self, action_id: int, name: str) -> Any:
        """The action that asks for an activity."""
        return self.action(action_id, scheduleTask=self.pb.ScheduleTaskAction(name=name))

    def complete(self, result: str = "1", action_id: int = 9) -> Any:
        """The action that ends an instance well."""
        made = self.pb.CompleteOrchestrationAction(orchestrationStatus=1)
        made.result.value = result
        return self.action(action_id, completeOrchestration=made)

    def fail(self, error_type: str, message: str = "") -> Any:
        """The action that ends an instance badly."""
        details = self.pb.TaskFailureDetails(errorType=error_type, errorMessage=message)
        made = self.pb.CompleteOrchestrationAction(orchestrationStatus=3, failureDetails=details)
        return self.action(9, completeOrchestration=made)

    async def answer(self, item: Any, *actions: Any, **fields: Any) -> None:
        """Answer a turn."""
        fields = {"completionToken": item.completionToken, **fields}
        request = self.pb.OrchestratorResponse(
            instanceId=item.orchestratorRequest.instanceId, actions=actions, **fields
        )
        await self.call("CompleteOrchestratorTask", request)

    async def result(self, item: Any, **fields: Any) -> None:
        """Answer an activity; without `fields`, with no result."""
        asked = item.activityRequest
        request = self.pb.ActivityResponse(
            instanceId=asked.orchestrationInstance.instanceId,
            taskId=asked.taskId,
            **{"completionToken": item.completionToken, **fields},
        )
        await self.call("CompleteActivityTask", request)


class WorkItems:
    """The open stream of one worker."""

    def __init__(self, peer: Peer, stream: Any) -> None:
        self._peer = peer
        self._stream = stream

    async def next(self) -> Any:
        """The next item. Raises TimeoutError where none comes."""
        async with asyncio.timeout(SECONDS):
            item = await self._stream.read()
        assert item is not END_OF_STREAM, "the engine has ended the stream"
        return item

    async def has_ended(self) -> bool:
        """Wait for the end of the stream; whether it came without a further item."""
        async with asyncio.timeout(SECONDS):
            return await self._stream.read() is END_OF_STREAM

    async def close(self) -> None:
        """Break the stream, as a worker does that goes away."""
        self._stream.cancel()
        with suppress(asyncio.CancelledError):
            await self._stream.read()
