"""The native work stream: protobuf to the runtime's items and back, one message for all that is queued.

One task per stream reads, the handler itself writes. While a write is under way new items queue up, and leave
together in the next message.
"""

from __future__ import annotations

import asyncio
from typing import Generic

import grpc

from tenuto_engine.edge.handlers import END_OF_STREAM, CallContext, Service, refuse_malformed, service, stream
from tenuto_engine.ports.inbound import (
    ActivityAnswer,
    ActivityBeat,
    ActivityItem,
    Hello,
    Outgoing,
    TurnAnswer,
    TurnItem,
)
from tenuto_engine.ports.serving import AnySession, Session, WorkerHost
from tenuto_proto.v1 import worker_pb2 as pb

SERVICE = "tenuto.v1.Worker"
# A message is cut when its payloads exceed this, so that large items never meet the receiver's limit together.
_MESSAGE_BYTES = 8 << 20


class WorkerService(Generic[AnySession]):
    """Serves `tenuto.v1.Worker`."""

    def __init__(self, engine: WorkerHost[AnySession]) -> None:
        self._engine = engine

    def handler(self) -> Service:
        """The generic handler to register at a server."""
        return service(SERVICE, {"Work": stream(self._work, pb.WorkerMessage, pb.EngineMessage)})

    async def _work(self, _requests: object, context: CallContext) -> None:
        first = await context.read()
        await refuse_malformed(first, context)
        if first is END_OF_STREAM or not first.HasField("hello") or not first.hello.worker_id:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "the first message of a worker must be a Hello with a worker_id"
            )
        queued = asyncio.Event()
        await context.write(pb.EngineMessage(welcome=self._welcome()))
        session = self._engine.connect(_hello(first.hello), queued.set)
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(session, context, queued))
                await self._read(session, context)
                writer.cancel()
        finally:
            self._engine.disconnect(session)

    def _welcome(self) -> pb.Welcome:
        engine = self._engine.describe()
        return pb.Welcome(
            engine_id=engine.engine_id,
            app=engine.app,
            version=engine.version,
            max_payload_bytes=engine.max_payload_bytes,
            max_message_bytes=engine.max_message_bytes,
        )

    async def _read(self, session: AnySession, context: CallContext) -> None:
        engine = self._engine
        while True:
            message = await context.read()
            if message is END_OF_STREAM:
                return
            await refuse_malformed(message, context)
            # Before the results: what a failed run said last is for its next attempt.
            for beat in message.heartbeats:
                details = beat.details if beat.HasField("details") else None
                engine.activity_alive(session, ActivityBeat(beat.token, details))
            for result in message.activities:
                answer = ActivityAnswer(
                    result.token, result.result if result.HasField("result") else None, result.failure, result.rejected
                )
                engine.activity_answered(session, answer)
            for result in message.turns:
                engine.turn_answered(session, _turn_answer(result))
            if message.draining:
                engine.worker_draining(session)

    @staticmethod
    async def _write(session: Session, context: CallContext, queued: asyncio.Event) -> None:
        while True:
            await queued.wait()
            await asyncio.sleep(0)  # what has already arrived is handled first, and joins this message
            queued.clear()
            while (outgoing := session.take_outgoing()) is not None:
                for message in _messages(outgoing):
                    await context.write(message)


def _hello(hello: pb.Hello) -> Hello:
    return Hello(
        worker_id=hello.worker_id,
        sdk=hello.sdk,
        code_hash=hello.code_hash,
        workflows=list(hello.workflows),
        activities=list(hello.activities),
        max_turns=hello.max_turns,
        max_activities=hello.max_activities,
        max_sticky=hello.max_sticky,
        running=list(hello.running),
    )


def _turn_answer(result: pb.TurnResult) -> TurnAnswer:
    return TurnAnswer(
        result.instance_id,
        result.execution_id,
        result.commit_id,
        result.outcome,
        result.actions,
        result.custom_status if result.HasField("custom_status") else None,
        list(result.patches),
        result.failure,
        result.code_hash,
    )


def _messages(outgoing: Outgoing) -> list[pb.EngineMessage]:
    """Everything queued as one message; as several only where the payloads are large."""
    message = pb.EngineMessage(acknowledged=outgoing.acknowledged, draining=outgoing.draining)
    messages, size = [message], 0
    for instance_id, execution_id in outgoing.forget:
        message.forget.add(instance_id=instance_id, execution_id=execution_id)
    for token, reason in outgoing.cancelled:
        message.cancelled.add(token=token, reason=reason)
    for turn in outgoing.turns:
        size += sum(map(len, turn.history)) + sum(map(len, turn.new_events))
        if size > _MESSAGE_BYTES:
            message, size = pb.EngineMessage(), 0
            messages.append(message)
        _add_turn(message, turn)
    for item in outgoing.activities:
        size += len(item.input or b"") + len(item.heartbeat_details or b"")
        if size > _MESSAGE_BYTES:
            message, size = pb.EngineMessage(), 0
            messages.append(message)
        _add_activity(message, item)
    return messages


def _add_turn(message: pb.EngineMessage, turn: TurnItem) -> None:
    """In place: an item made first and appended would be copied whole."""
    message.turns.add(
        instance_id=turn.instance_id,
        execution_id=turn.execution_id,
        base_commit_id=turn.base_commit_id,
        commit_id=turn.commit_id,
        history_length=turn.history_length,
        full_history=turn.full_history,
        more=turn.more,
        history=turn.history,
        new_events=turn.new_events,
    )


def _add_activity(message: pb.EngineMessage, item: ActivityItem) -> None:
    message.activities.add(
        token=item.token,
        instance_id=item.instance_id,
        execution_id=item.execution_id,
        event_id=item.event_id,
        name=item.name,
        input=item.input,
        attempt=item.attempt,
        deliveries=item.deliveries,
        start_to_close_ms=item.start_to_close_ms,
        heartbeat_ms=item.heartbeat_ms,
        workflow_name=item.workflow_name,
        heartbeat_details=item.heartbeat_details,
        trace_parent=item.trace_parent,
    )
