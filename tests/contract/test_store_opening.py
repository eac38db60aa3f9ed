"""Opening: the layout record, shard count, durability, and opening again after a crash."""

from __future__ import annotations

import pytest

from contract.backends import Backend
from contract.dumps import dump
from contract.worlds import FAR_MS, SHARDS, World, message, open_call, timer
from tenuto_engine.ports.errors import DurabilityRefused, ShardsDiffer, StoreRefused
from tenuto_engine.ports.leases import Lease, LeaseHeld
from tenuto_engine.ports.operations import Append
from tenuto_engine.ports.outcomes import Appended, Committed
from tenuto_engine.ports.records import ReminderSet


async def test_a_store_says_what_it_delivers(backend: Backend) -> None:
    """The declared tier is what `open` answers."""
    store, _ = backend.make()
    info = await store.open(shards=SHARDS, durability=backend.durability)
    assert (info.durability, info.verified) == (backend.durability, True)
    assert info.description
    await store.close()


async def test_another_shard_count_is_refused(backend: Backend) -> None:
    """The count is fixed at first use; the refusal names both, and the first still opens."""
    store, _ = backend.make()
    await store.open(shards=SHARDS, durability=backend.durability)
    await store.close()

    other, _ = backend.make()
    with pytest.raises(ShardsDiffer, match=rf"{SHARDS} shards.*{SHARDS + 1}.*--shards {SHARDS}"):
        await other.open(shards=SHARDS + 1, durability=backend.durability)
    await other.close()

    again, _ = backend.make()
    await again.open(shards=SHARDS, durability=backend.durability)
    await again.close()


@pytest.mark.parametrize("durability", ["D3", "D4"])
async def test_an_undeliverable_tier_is_refused_by_name(backend: Backend, durability: str) -> None:
    """The refusal names the setting and the tier asked for."""
    store, _ = backend.make()
    with pytest.raises(DurabilityRefused, match=f"durability '?{durability}") as refusal:
        await store.open(shards=SHARDS, durability=durability)
    assert isinstance(refusal.value, StoreRefused)
    await store.close()


async def test_a_store_that_was_never_opened_closes(backend: Backend) -> None:
    """Closing needs no opening, and may be repeated."""
    store, leases = backend.make()
    await store.close()
    await store.close()
    leases.close()


async def test_everything_is_there_after_opening_again(world: World) -> None:
    """All that was answered is found by the next process: records, marks, entries, leases, windows."""
    due = await world.store.now_ms() + FAR_MS
    await world.create("done", start_id="s0")
    await world.finish("done", reminders_set=[ReminderSet(timer(0, instance_id="done", kind="retention"), due)])
    await world.create(messages=[message("start"), message("next")], start_id="s1")
    await world.commit(
        consumed=[0],
        history=[b"h"],
        custom_status=b"busy",
        activities_set=[open_call(1)],
        reminders_set=[ReminderSet(timer(2), due)],
    )
    await world.append("raise", remember=True)
    next_commit = await world.next_commit(consumed=[1])
    before = await dump(world.store, shards=SHARDS)
    world.leases.close()
    await world.store.close()

    store, leases = world.backend.make()
    await store.open(shards=SHARDS, durability=world.backend.durability)
    try:
        assert await dump(store, shards=SHARDS) == before
        repeated = Append(0, "order-1", message("raise", remember=True))
        first, second = await store.execute([repeated, next_commit])
        assert first == Appended(-1, duplicate=True)
        assert isinstance(second, Committed)
        (held,) = leases.acquire([0], version="", owner="other", lease_ms=5)
        assert isinstance(held, LeaseHeld)
        (lease,) = leases.acquire([0], version="", owner="other", lease_ms=5, force=True)
        assert isinstance(lease, Lease)
        assert lease.epoch == 2
    finally:
        leases.close()
        await store.close()
