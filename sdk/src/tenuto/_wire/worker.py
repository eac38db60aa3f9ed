"""The work stream: its messages as structs of the SDK.

Items and answers travel in batches, one message for whatever is queued; a batch is bounded in bytes so that it stays
far below the engine's limit for one message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

from tenuto_proto.v1 import worker_pb2 as pb

WORK_METHOD: Final = "/tenuto.v1.Worker/Work"
# One answer may be as large as a payload (2 MiB); a few of them together stay well below 64 MiB.
_BATCH_BYTES: Final = 8 << 20
# For what an answer holds beside its actions.
_ROOM_BYTES: Final = 1 << 20


class MalformedMessage(ValueError):
    """Bytes from the engine that are no message of this protocol."""


class Outcome(IntEnum):
    """How a turn ended; the numbers of `TurnResult.Outcome`."""

    COMPLETED = 0
    NEED_HISTORY = 1
    NOT_REGISTERED = 2
    FAILED = 3
    NON_DETERMINISTIC = 4
    GUARD_REFUSED = 5


class Introduction(msgspec.Struct, frozen=True):
    """What a worker says of itself when it connects; the fields of `Hello`."""

    worker_id: str
    sdk: str
    code_hash: str
    workflows: list[str]
    activities: list[str]
    max_turns: int
    max_activities: int
    max_sticky: int
    running: list[str]


class Greeting(msgspec.Struct, frozen=True):
    """What the engine says of itself; limits in bytes, 0 where it does not say."""

    engine_id: str
    app: str
    version: str
    max_payload_bytes: int
    max_message_bytes: int


class Turn(msgspec.Struct, frozen=True):
    """A turn to run; events are still encoded. The fields of `TurnItem`."""

    instance_id: str
    execution_id: str
    base_commit_id: str
    commit_id: str
    history_length: int
    is_full: bool
    has_more: bool
    history: list[bytes]
    new_events: list[bytes]


class TurnAnswer(msgspec.Struct, frozen=True):
    """The answer to a turn; the fields of `TurnResult`."""

    instance_id: str
    execution_id: str
    commit_id: str
    outcome: Outcome
    actions: bytes = b""
    custom_status: bytes | None = None
    patches: list[str] = []
    failure: bytes = b""
    code_hash: str = ""


class ActivityCall(msgspec.Struct, frozen=True):
    """An activity to run; the fields of `ActivityItem`."""

    token: str
    instance_id: str
    execution_id: str
    event_id: int
    name: str
    input: bytes | None
    attempt: int
    deliveries: int
    start_to_close_ms: int
    heartbeat_ms: int
    workflow_name: str
    trace_parent: str = ""
    heartbeat_details: bytes | None = None


class Beat(msgspec.Struct, frozen=True):
    """A running activity is alive; the fields of `ActivityBeat`. Details of None leave the former ones."""

    token: str
    details: bytes | None = None


class ActivityAnswer(msgspec.Struct, frozen=True):
    """The answer to an activity; the fields of `ActivityResult`. An empty failure is success."""

    token: str
    is_rejected: bool = False
    result: bytes | None = None
    failure: bytes = b""


class Incoming(msgspec.Struct, frozen=True):
    """One message of the engine.

    `forgotten` pairs instance and execution id; an empty execution id means any. `cancelled` pairs token and reason.
    """

    greeting: Greeting | None
    turns: list[Turn]
    activities: list[ActivityCall]
    acknowledged: list[str]
    forgotten: list[tuple[str, str]]
    is_draining: bool
    cancelled: list[tuple[str, str]] = []


def encode_introduction(introduction: Introduction) -> bytes:
    """The first message of a stream."""
    return pb.WorkerMessage(
        hello=pb.Hello(
            worker_id=introduction.worker_id,
            sdk=introduction.sdk,
            code_hash=introduction.code_hash,
            workflows=introduction.workflows,
            activities=introduction.activities,
            max_turns=introduction.max_turns,
            max_activities=introduction.max_activities,
            max_sticky=introduction.max_sticky,
            running=introduction.running,
        )
    ).SerializeToString()


def encode_answers(
    turns: Sequence[TurnAnswer],
    activities: Sequence[ActivityAnswer],
    *,
    beats: Sequence[Beat] = (),
    is_draining: bool,
) -> Iterator[bytes]:
    """Messages that hold all answers, in order; usually one."""
    message = pb.WorkerMessage(draining=is_draining)
    size = 0
    for turn in turns:
        message.turns.append(_turn_result(turn))
        size += len(turn.actions) + len(turn.failure) + len(turn.custom_status or b"")
        if size > _BATCH_BYTES:
            yield message.SerializeToString()
            message, size = pb.WorkerMessage(draining=is_draining), 0
    for beat in beats:
        message.heartbeats.add(token=beat.token, details=beat.details)
        size += len(beat.details or b"")
        if size > _BATCH_BYTES:
            yield message.SerializeToString()
            message, size = pb.WorkerMessage(draining=is_draining), 0
    for activity in activities:
        message.activities.append(_activity_result(activity))
        size += len(activity.result or b"") + len(activity.failure)
        if size > _BATCH_BYTES:
            yield message.SerializeToString()
            message, size = pb.WorkerMessage(draining=is_draining), 0
    yield message.SerializeToString()


def longest_actions_bytes(greeting: Greeting) -> int:
    """How many bytes the actions of one turn may have, so that any message that `encode_answers` makes is accepted.

    0 where the engine names no limit.
    """
    if not greeting.max_message_bytes:
        return 0
    return max(greeting.max_message_bytes - _BATCH_BYTES - _ROOM_BYTES, _ROOM_BYTES)


def decode_message(data: bytes) -> Incoming:
    """Reads a message of the engine. Raises `MalformedMessage`."""
    try:
        message = pb.EngineMessage.FromString(data)
    except DecodeError as error:
        raise MalformedMessage(f"the engine sent {len(data)} bytes that are no message: {error}") from error
    return Incoming(
        greeting=_greeting(message.welcome) if message.HasField("welcome") else None,
        turns=[
            Turn(
                item.instance_id,
                item.execution_id,
                item.base_commit_id,
                item.commit_id,
                item.history_length,
                item.full_history,
                item.more,
                list(item.history),
                list(item.new_events),
            )
            for item in message.turns
        ],
        activities=[
            ActivityCall(
                item.token,
                item.instance_id,
                item.execution_id,
                item.event_id,
                item.name,
                item.input if item.HasField("input") else None,
                item.attempt,
                item.deliveries,
                item.start_to_close_ms,
                item.heartbeat_ms,
                item.workflow_name,
                item.trace_parent,
                item.heartbeat_details if item.HasField("heartbeat_details") else None,
            )
            for item in message.activities
        ],
        acknowledged=list(message.acknowledged),
        forgotten=[(item.instance_id, item.execution_id) for item in message.forget],
        is_draining=message.draining,
        cancelled=[(cancelled.token, cancelled.reason) for cancelled in message.cancelled],
    )


def _greeting(welcome: pb.Welcome) -> Greeting:
    return Greeting(
        welcome.engine_id, welcome.app, welcome.version, welcome.max_payload_bytes, welcome.max_message_bytes
    )


def _turn_result(answer: TurnAnswer) -> pb.TurnResult:
    result = pb.TurnResult(
        instance_id=answer.instance_id,
        execution_id=answer.execution_id,
        commit_id=answer.commit_id,
        outcome=answer.outcome.name,
        actions=answer.actions,
        failure=answer.failure,
        code_hash=answer.code_hash,
    )
    if answer.custom_status is not None:
        result.custom_status = answer.custom_status
    if answer.patches:
        result.patches.extend(answer.patches)
    return result


def _activity_result(answer: ActivityAnswer) -> pb.ActivityResult:
    return pb.ActivityResult(
        token=answer.token, rejected=answer.is_rejected, result=answer.result, failure=answer.failure
    )
