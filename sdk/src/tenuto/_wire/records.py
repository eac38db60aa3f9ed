"""What an engine says of its store and itself, for people: the raw records of an instance, and the engine's facts."""

from __future__ import annotations

from dataclasses import dataclass

from tenuto_proto.v1 import management_pb2 as pb


@dataclass(frozen=True, slots=True)
class StateRecord:
    """One record as stored: its name, the bytes, and the engine's decoded form as JSON text (empty: not decoded)."""

    key: str
    value: bytes
    json: str


@dataclass(frozen=True, slots=True)
class StateRecords:
    """The records of one instance.

    Args:
        store_key: the name under which the store keeps the instance.
        shard: its partition.
        records: metadata, customStatus, history-NNNNNN, inbox-NNNNNN, by name.
        related: entries of the shard that concern the instance: reminders, open activities, outgoing messages.
        is_truncated: there are more records than were asked for.
    """

    store_key: str
    shard: int
    records: tuple[StateRecord, ...]
    related: tuple[StateRecord, ...]
    is_truncated: bool


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Facts about the engine that answered; `durability` is the tier (D0 to D3) that its answers are durable to."""

    engine_id: str
    app: str
    version: str
    store: str
    durability: str
    is_durability_verified: bool
    shards: int
    shards_owned: int
    workers: int
    is_draining: bool
    release: str


def read_state(answer: pb.GetStateResponse) -> StateRecords:
    """Return the answer of GetState as values."""
    return StateRecords(
        store_key=answer.store_key,
        shard=answer.shard,
        records=tuple(StateRecord(one.key, one.value, one.json) for one in answer.records),
        related=tuple(StateRecord(one.key, one.value, one.json) for one in answer.related),
        is_truncated=answer.truncated,
    )


def read_engine(answer: pb.GetEngineResponse) -> EngineInfo:
    """Return the answer of GetEngine as values."""
    return EngineInfo(
        engine_id=answer.engine_id,
        app=answer.app,
        version=answer.version,
        store=answer.store,
        durability=answer.durability,
        is_durability_verified=answer.durability_verified,
        shards=answer.shards,
        shards_owned=answer.shards_owned,
        workers=answer.workers,
        is_draining=answer.draining,
        release=answer.release,
    )
