"""Ownership: one holder at a time, an epoch that never goes back, time by the store's clock."""

from __future__ import annotations

import pytest

from contract.worlds import FAR_MS, World
from tenuto_engine.ports.leases import Lease, LeaseHeld, LeaseStore, Member


def _take(leases: LeaseStore, owner: str, *, lease_ms: int = FAR_MS, force: bool = False, shard: int = 0) -> Lease:
    (lease,) = leases.acquire([shard], version="", owner=owner, lease_ms=lease_ms, force=force)
    assert isinstance(lease, Lease), lease
    return lease


async def test_the_first_grant_has_epoch_one(world: World) -> None:
    """A grant names shard, version, owner and epoch, and has a token."""
    (first, second) = world.leases.acquire([2, 1], version="v1", owner="a", lease_ms=FAR_MS)
    assert isinstance(first, Lease)
    assert isinstance(second, Lease)
    assert (first.shard, first.version, first.owner, first.epoch) == (2, "v1", "a", 1)
    assert (second.shard, second.epoch) == (1, 1)
    assert first.token != second.token
    assert first.token


async def test_a_held_shard_is_refused_with_its_holder(world: World) -> None:
    """Who asks for a held shard learns who holds it and for how long."""
    _take(world.leases, "a", lease_ms=60_000)
    (held, free) = world.leases.acquire([0, 1], version="", owner="b", lease_ms=60_000)
    assert isinstance(held, LeaseHeld)
    assert (held.shard, held.owner, held.epoch) == (0, "a", 1)
    assert 0 < held.remaining_ms <= 60_000
    assert isinstance(free, Lease)


async def test_every_grant_has_a_new_token_and_the_next_epoch(world: World) -> None:
    """Also the holder's own acquisition fences what it held before."""
    first = _take(world.leases, "a")
    second = _take(world.leases, "a")
    assert (second.epoch, second.token != first.token) == (2, True)
    assert world.leases.renew([first, second], lease_ms=FAR_MS) == [False, True]


async def test_an_expired_lease_is_free(world: World) -> None:
    """Expiry is judged by the store's clock, and the epoch goes on."""
    first = _take(world.leases, "a", lease_ms=20)
    await world.backend.elapse(25)
    second = _take(world.leases, "b")
    assert second.epoch == 2
    assert world.leases.renew([first], lease_ms=FAR_MS) == [False]


async def test_an_expired_lease_that_nobody_took_is_renewed(world: World) -> None:
    """A late renewal keeps the shard and the token, and fences the next comer again."""
    lease = _take(world.leases, "a", lease_ms=1)
    await world.backend.elapse(5)
    assert world.leases.renew([lease], lease_ms=FAR_MS) == [True]
    (held,) = world.leases.acquire([0], version="", owner="b", lease_ms=FAR_MS)
    assert isinstance(held, LeaseHeld)
    assert held.epoch == 1


async def test_renewal_prolongs(world: World) -> None:
    """A renewed lease holds beyond its first time."""
    lease = _take(world.leases, "a", lease_ms=20)
    assert world.leases.renew([lease], lease_ms=FAR_MS) == [True]
    await world.backend.elapse(25)
    (held,) = world.leases.acquire([0], version="", owner="b", lease_ms=FAR_MS)
    assert isinstance(held, LeaseHeld)


async def test_force_takes_a_held_lease(world: World) -> None:
    """Force ends a lease that has not run out."""
    first = _take(world.leases, "a")
    second = _take(world.leases, "b", force=True)
    assert second.epoch == 2
    assert world.leases.renew([first, second], lease_ms=FAR_MS) == [False, True]


async def test_a_released_shard_is_free_at_once_and_its_epoch_stays(world: World) -> None:
    """Release by the holder frees; by a former holder it does nothing."""
    first = _take(world.leases, "a")
    second = _take(world.leases, "a")
    world.leases.release([first], cause="release")
    (held,) = world.leases.acquire([0], version="", owner="b", lease_ms=FAR_MS)
    assert isinstance(held, LeaseHeld)

    world.leases.release([second], cause="release")
    assert world.leases.renew([second], lease_ms=FAR_MS) == [False]
    assert _take(world.leases, "b").epoch == 3


async def test_a_grant_tells_how_the_former_ownership_ended(world: World) -> None:
    """After a release it names the cause and the time without an owner, after an expiry the time since then."""
    first = _take(world.leases, "a")
    assert (first.cause, first.free_ms) == ("", 0)
    world.leases.release([first], cause="drain")
    await world.backend.elapse(30)
    second = _take(world.leases, "b", lease_ms=20)
    assert second.cause == "drain"
    assert second.free_ms >= 30
    await world.backend.elapse(50)
    third = _take(world.leases, "a")
    assert third.cause == "expiry"
    assert third.free_ms >= 30


async def test_versions_have_leases_of_their_own(world: World) -> None:
    """Engines of two versions own the same shard side by side."""
    _take(world.leases, "a")
    (other,) = world.leases.acquire([0], version="v2", owner="b", lease_ms=FAR_MS)
    assert isinstance(other, Lease)
    assert other.epoch == 1


async def test_no_shards_no_answers(world: World) -> None:
    """Empty lists are answered with empty lists."""
    assert world.leases.acquire([], version="", owner="a", lease_ms=5) == []
    assert world.leases.renew([], lease_ms=5) == []
    world.leases.release([], cause="release")


async def test_a_second_lease_store_sees_the_same_leases(world: World) -> None:
    """Ownership is in the store, not in the connection."""
    lease = _take(world.leases, "a")
    _, other = world.backend.make()
    try:
        (held,) = other.acquire([0], version="", owner="b", lease_ms=FAR_MS)
        assert isinstance(held, LeaseHeld)
        assert other.renew([lease], lease_ms=FAR_MS) == [True]
    finally:
        other.close()


async def test_a_closed_lease_store_connects_anew(world: World) -> None:
    """Closing lets go of the connection, not of the leases."""
    lease = _take(world.leases, "a")
    world.leases.close()
    assert world.leases.renew([lease], lease_ms=FAR_MS) == [True]


# -- members ------------------------------------------------------------------------------------------------------


def _member(engine_id: str, **fields: object) -> Member:
    values = {"version": "v1", "capacity": 8, "draining": False, "has_workers": True, "address": "10.0.0.1:7071"}
    return Member(engine_id, **(values | fields))  # type: ignore[arg-type]


async def test_members_are_seen_while_their_heart_beats(world: World) -> None:
    """A member is listed as it described itself last, until its time runs out."""
    roll = world.leases.heartbeat(_member("a", shards="f0"), ttl_ms=FAR_MS)
    assert abs(roll.now_ms - await world.store.now_ms()) < 60_000
    assert [each.member for each in roll.present] == [_member("a", shards="f0")]
    roll = world.leases.heartbeat(_member("b", address=""), ttl_ms=20)
    assert [each.member for each in roll.present] == [_member("a", shards="f0"), _member("b", address="")]
    assert 20 < roll.present[0].remaining_ms <= FAR_MS
    assert 0 < roll.present[1].remaining_ms <= 20
    assert world.leases.members() == [_member("a", shards="f0"), _member("b", address="")]

    draining = _member("a", draining=True, has_workers=False, capacity=0, version="")
    world.leases.heartbeat(draining, ttl_ms=FAR_MS)
    await world.backend.elapse(25)

    assert world.leases.members() == [draining]


async def test_a_member_that_leaves_is_gone(world: World) -> None:
    """Leaving is at once and idempotent."""
    world.leases.heartbeat(_member("a"), ttl_ms=FAR_MS)
    world.leases.leave("a")
    world.leases.leave("a")
    assert world.leases.members() == []


@pytest.mark.parametrize("beats", [1, 5])
async def test_a_member_is_one_member_however_often_it_beats(world: World, beats: int) -> None:
    """Heartbeats replace one another."""
    for _ in range(beats):
        world.leases.heartbeat(_member("a"), ttl_ms=FAR_MS)
    assert world.leases.members() == [_member("a")]
