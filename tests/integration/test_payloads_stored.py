"""Payloads on their way through engine and store: types by annotation, and nothing readable under encryption."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

import pytest
from pydantic import BaseModel

import tenuto as wf
from apps import ended, run, served
from engines import EngineHere, make_settings
from tenuto import aio
from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore, WriteGate

Steps = Generator[Any, Any, Any]
SECRET = "attack at dawn"


class Colour(Enum):
    RED = "red"


class Size(TypedDict):
    width: int
    height: int


class Person(BaseModel):
    name: str
    born: date


@dataclass
class Parcel:
    owner: Person
    size: Size
    price: Decimal
    colour: Colour
    sent_at: datetime
    label: bytes
    tags: list[str]
    id: UUID


PARCEL = Parcel(
    owner=Person(name="Ada", born=date(1815, 12, 10)),
    size={"width": 3, "height": 4},
    price=Decimal("12.340"),
    colour=Colour.RED,
    sent_at=datetime(2026, 1, 5, 12, tzinfo=UTC),
    label=b"\x00\xff",
    tags=["fragile"],
    id=UUID(int=7),
)


def repack(ctx: wf.WorkflowActivityContext, parcel: Parcel) -> Parcel:
    assert parcel == PARCEL
    return parcel


def ship(ctx: wf.WorkflowContext, parcel: Parcel) -> Generator[Any, Any, Parcel]:
    assert parcel == PARCEL
    packed = yield ctx.call_activity(repack, input=parcel)
    assert packed == PARCEL
    by_name = yield ctx.call_activity("repack", input=parcel, result_type=Parcel)
    assert by_name == PARCEL
    event: Parcel = yield ctx.wait_for_external_event("parcel", data_type=Parcel)
    assert event == PARCEL
    return event


class Reversed:
    """Stands for encryption: what is stored holds no plain text."""

    def encode(self, data: bytes) -> bytes:
        return b"sealed" + bytes(byte ^ 0xA5 for byte in data)

    def decode(self, data: bytes) -> bytes:
        assert data.startswith(b"sealed")
        return bytes(byte ^ 0xA5 for byte in data.removeprefix(b"sealed"))


def echo(ctx: wf.WorkflowActivityContext, text: str) -> str:
    return text


def keep_secret(ctx: wf.WorkflowContext, text: str) -> Steps:
    """Sends a secret every way there is."""
    ctx.set_custom_status(text)
    yield ctx.call_activity(echo, input=text)
    heard = yield ctx.wait_for_external_event("secret")
    yield ctx.call_child_workflow(child, input=heard)
    ctx.raise_event(ctx.instance_id, "self", data=heard)
    yield ctx.wait_for_external_event("self")
    return heard


def child(ctx: wf.WorkflowContext, text: str) -> Steps:
    return (yield ctx.call_activity(echo, input=text))


@pytest.fixture
async def client(here: EngineHere) -> AsyncIterator[aio.WorkflowClient]:
    async with served(here, workflows=[ship], activities=[repack]) as client:
        yield client


async def test_types_by_annotation(client: aio.WorkflowClient) -> None:
    """Dataclasses with models, enums, decimals, moments, bytes and ids in them arrive as what the annotation says."""
    await client.schedule_new_workflow(ship, input=PARCEL, instance_id="parcel")
    await client.raise_workflow_event("parcel", "parcel", data=PARCEL)
    state = await ended(client, "parcel")
    assert state.result(Parcel) == PARCEL


async def test_wrong_types_fail_by_name(client: aio.WorkflowClient) -> None:
    """An input that does not fit the annotation fails the workflow, and the message says where it does not fit."""
    state = await run(client, ship, {"owner": 7})
    assert state.failure_details is not None
    assert state.failure_details.error_type == "tenuto.errors.PayloadError"
    assert "ship" in state.failure_details.message


def content(folder: Path) -> bytes:
    """All bytes of all files."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_encryption_at_rest(tmp_path: Path) -> None:
    """With a payload codec the store's file holds no plain text, and whoever has the codec reads everything."""
    path, gate = str(tmp_path / "state.db"), WriteGate()
    store = SqliteStore(path, app="default", key_prefix="tenuto", gate=gate)
    stores = (store, SqliteLeaseStore(path, gate=gate))
    async with EngineHere(make_settings(durability="D2"), stores) as engine:
        functions: dict[str, Any] = {"workflows": [keep_secret, child], "activities": [echo]}
        async with served(engine, payload_codec=Reversed(), **functions) as client:
            await client.schedule_new_workflow(keep_secret, input=SECRET, instance_id="spy")
            await client.raise_workflow_event("spy", "secret", data=SECRET)
            state = await ended(client, "spy")
            assert (state.input, state.result(), state.custom_status) == (SECRET, SECRET, SECRET)
            held = content(tmp_path)
    held += content(tmp_path)
    assert b"keep_secret" in held
    assert SECRET.encode() not in held
