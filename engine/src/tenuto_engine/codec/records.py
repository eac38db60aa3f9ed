"""The opaque bytes inside store records: inbox messages, metadata bodies, activity entries, outbox envelopes.

Each begins as a msgpack array, so a field can be added at its end. The events inside are carried as the bytes they
will have in history.
"""

from __future__ import annotations

import msgspec

from tenuto_engine.codec.events import FAULTS, UndecodableError
from tenuto_engine.core.events import Parent, RetryPolicy
from tenuto_engine.core.state import OpenChild

_encoder = msgspec.msgpack.Encoder()


class InboxBody(msgspec.Struct, array_like=True, frozen=True):
    """An inbox record: the command id of its sender, its arrival (Unix ms), and the event it will become.

    `carried`: it was received by the former execution and not consumed, so it comes before all others.
    """

    id: str
    at_ms: int
    execution_id: str
    event: bytes
    carried: bool = False


class MetadataBody(msgspec.Struct, array_like=True, frozen=True):
    """What metadata keeps beside the head. Times in Unix ms.

    `open_turn`: an oversized turn is recorded in part. `turn_failures`: failed tries of the current turn, in a row.
    `children`: of earlier executions, still open when this one began.
    """

    name: str
    generation: int
    created_at_ms: int
    updated_at_ms: int
    completed_at_ms: int = 0
    history_bytes: int = 0
    last_turn_at_ms: int = 0
    parent: Parent | None = None
    children: list[OpenChild] = []
    open_turn: bool = False
    turn_failures: int = 0
    reason: str = ""
    trace_parent: str = ""
    rerun_of: str = ""
    scheduled_at_ms: int = 0


class ActivityBody(msgspec.Struct, array_like=True, frozen=True):
    """An open activity call. `claim`: the engine that runs it; empty while nobody does.

    `deliveries` counts hand-outs to a worker over all attempts, whether or not the worker began. `claimed_at_ms` is
    when the current claim was made; `scheduled_at_ms` when the call was committed. The input stands in history at
    `history_index`. `last_failure`: of the attempt before. `trace_parent`: the context of the turn that asked.
    `due_at_ms`: the next attempt begins then, not before; 0: at once. `given_back`: why an engine gave up its claim, if
    one did. `heartbeat_at_ms`, `heartbeat_details`: the last heartbeat that was written, of whichever attempt.
    """

    name: str
    history_index: int
    scheduled_at_ms: int
    claim: str
    claimed_at_ms: int
    deliveries: int
    retry: RetryPolicy | None = None
    start_to_close_ms: int = 0
    schedule_to_close_ms: int = 0
    heartbeat_ms: int = 0
    workflow_name: str = ""
    last_failure: str = ""
    trace_parent: str = ""
    due_at_ms: int = 0
    given_back: str = ""
    heartbeat_at_ms: int = 0
    heartbeat_details: bytes | None = None
    foreign: bytes | None = None


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """An outbox record's body: a message for an instance of another shard, or the child to start there.

    For a child, `start` is true and `event` an ExecutionStarted; the answer for a taken id goes back to the parent
    named in it.
    """

    instance_id: str
    id: str
    execution_id: str
    event: bytes
    start: bool = False
    control: bool = False
    at_ms: int = 0


_inbox = msgspec.msgpack.Decoder(InboxBody)
_metadata = msgspec.msgpack.Decoder(MetadataBody)
_activity = msgspec.msgpack.Decoder(ActivityBody)
_envelope = msgspec.msgpack.Decoder(Envelope)


def encode_record(body: InboxBody | MetadataBody | ActivityBody | Envelope) -> bytes:
    return _encoder.encode(body)


def decode_inbox(data: bytes) -> InboxBody:
    """Raises UndecodableError."""
    try:
        return _inbox.decode(data)
    except FAULTS as error:
        raise UndecodableError(f"not an inbox record of encoding 1: {error}") from error


def decode_metadata(data: bytes) -> MetadataBody:
    """Raises UndecodableError."""
    try:
        return _metadata.decode(data)
    except FAULTS as error:
        raise UndecodableError(f"not a metadata record of encoding 1: {error}") from error


def decode_activity(data: bytes) -> ActivityBody:
    """Raises UndecodableError."""
    try:
        return _activity.decode(data)
    except FAULTS as error:
        raise UndecodableError(f"not an activity entry of encoding 1: {error}") from error


def decode_envelope(data: bytes) -> Envelope:
    """Raises UndecodableError."""
    try:
        return _envelope.decode(data)
    except FAULTS as error:
        raise UndecodableError(f"not an outbox message of encoding 1: {error}") from error
