"""Leases in Redis over state in PostgreSQL: Redis decides who tries, PostgreSQL who owns, and no two write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from contract.backends import APP, PostgresBackend
from contract.worlds import FAR_MS, SHARDS, World
from servers import PostgresServer, RedisServer
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease, LeaseHeld, Member
from tenuto_engine.ports.outcomes import Committed, Fenced
from tenuto_engine.storage.gated_leases import GatedLeaseStore
from tenuto_engine.storage.postgres import PostgresLeaseStore
from tenuto_engine.storage.redis import RedisLeaseStore

LEASE_MS = 60_000


@dataclass
class Both:
    """State in one server, leases over it in the other, and how one more engine reaches both."""

    world: World
    redis: RedisServer
    engine: Callable[[], GatedLeaseStore]


@pytest.fixture
async def both(postgres_server: PostgresServer, new_redis: Callable[..., RedisServer]) -> AsyncIterator[Both]:
    """Two servers, and any number of engines."""
    redis, backend = new_redis(), PostgresBackend(postgres_server.url)
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability="D2")
    made: list[GatedLeaseStore] = []

    def engine() -> GatedLeaseStore:
        gate = RedisLeaseStore(redis.url, app=APP, key_prefix=backend.key_prefix)
        fence = PostgresLeaseStore(backend.url, app=APP, key_prefix=backend.key_prefix)
        made.append(GatedLeaseStore(gate=gate, fence=fence))
        return made[-1]

    yield Both(World(backend, store, leases), redis, engine)
    for each in (*made, leases):
        each.close()
    await store.close()


def take(leases: GatedLeaseStore, owner: str, *, lease_ms: int = LEASE_MS) -> Lease | LeaseHeld:
    (answer,) = leases.acquire([0], version="", owner=owner, lease_ms=lease_ms)
    return answer


def granted(answer: Lease | LeaseHeld) -> Lease:
    assert isinstance(answer, Lease), answer
    return answer


def flush(redis: RedisServer) -> None:
    with redis.client() as client:
        client.flushall()


async def test_the_epoch_and_the_token_are_the_states_own(both: Both) -> None:
    """What a grant carries is what commits are compared with, from the first turn on."""
    lease = granted(take(both.engine(), "a"))
    assert both.world.leases.renew([lease], lease_ms=LEASE_MS) == [True]
    both.world.held[0, ""] = lease
    await both.world.create()
    await both.world.commit(history=[b"first"])


async def test_an_emptied_redis_does_not_lower_the_epoch(both: Both) -> None:
    """Whoever wins a Redis that forgot everything continues PostgreSQL's count."""
    first, second = both.engine(), both.engine()
    lease = granted(take(first, "a", lease_ms=1))
    flush(both.redis)
    while isinstance(answer := take(second, "b"), LeaseHeld):
        pass
    assert (granted(answer).epoch, answer.owner) == (2, "b")
    assert granted(answer).token != lease.token
    assert first.renew([lease], lease_ms=LEASE_MS) == [False]


async def test_an_emptied_redis_takes_nothing_from_an_owner_that_lives(both: Both) -> None:
    """Another engine wins in Redis, is refused by PostgreSQL, and lets the owner pass again."""
    first, second = both.engine(), both.engine()
    lease = granted(take(first, "a"))
    flush(both.redis)
    held = take(second, "b")
    assert isinstance(held, LeaseHeld)
    assert (held.owner, held.epoch) == ("a", 1)
    assert first.renew([lease], lease_ms=LEASE_MS) == [True]
    # Now it is refused in Redis already.
    assert isinstance(take(second, "b"), LeaseHeld)
    with both.redis.client() as client:
        (key,) = client.keys("*lease:")
        assert client.hget(key, "owner") == b"a"


async def test_of_two_engines_that_both_believe_they_won_one_can_write(both: Both) -> None:
    """Redis granted to both, one after it forgot the other: the later epoch writes, the earlier is fenced."""
    first, second = both.engine(), both.engine()
    await both.world.create()
    older = granted(take(first, "a", lease_ms=1))
    both.world.held[0, ""] = older
    stale = await both.world.next_commit(history=[b"stale"])
    flush(both.redis)
    while isinstance(answer := take(second, "b"), LeaseHeld):
        pass
    newer = granted(answer)
    flush(both.redis)  # and the first wins in Redis again, before it learns anything
    (won,) = first._gate.acquire([0], version="", owner="a", lease_ms=LEASE_MS)
    assert isinstance(won, Lease)

    assert await both.world.do(stale) == Fenced()
    fresh = replace(stale, token=newer.token)
    assert isinstance(await both.world.do(fresh), Committed)
    assert (first.renew([older], lease_ms=LEASE_MS), second.renew([newer], lease_ms=LEASE_MS)) == ([False], [True])


async def test_a_release_frees_both_and_the_next_one_learns_the_cause(both: Both) -> None:
    """No lease time is waited for after a hand-over."""
    first, second = both.engine(), both.engine()
    lease = granted(take(first, "a"))
    first.release([lease], cause="drain")
    answer = granted(take(second, "b"))
    assert (answer.epoch, answer.cause) == (2, "drain")


async def test_renewal_prolongs_both(both: Both) -> None:
    """After a renewal neither store grants the shard to another."""
    first, second = both.engine(), both.engine()
    lease = granted(take(first, "a", lease_ms=200))
    assert first.renew([lease], lease_ms=LEASE_MS) == [True]
    await both.world.backend.elapse(250)
    assert isinstance(take(second, "b"), LeaseHeld)
    (gate,) = second._gate.acquire([0], version="", owner="b", lease_ms=LEASE_MS)
    (fence,) = second._fence.acquire([0], version="", owner="b", lease_ms=LEASE_MS)
    assert isinstance(gate, LeaseHeld)
    assert isinstance(fence, LeaseHeld)


async def test_an_expired_lease_is_taken_over(both: Both) -> None:
    """A crashed owner's shard goes to the next when both have run out."""
    first, second = both.engine(), both.engine()
    granted(take(first, "a", lease_ms=20))
    await both.world.backend.elapse(30)
    answer = take(second, "b")
    while isinstance(answer, LeaseHeld):
        answer = take(second, "b")
    assert (answer.epoch, answer.cause) == (2, "expiry")


async def test_the_clock_is_the_states_and_members_are_in_redis(both: Both) -> None:
    """Turns follow the clock of the store that judges due times."""
    first, second = both.engine(), both.engine()
    member = Member("a", "", 1, draining=False, has_workers=True)
    before = await both.world.store.now_ms()
    roll = first.heartbeat(member, ttl_ms=FAR_MS)
    assert before <= roll.now_ms <= await both.world.store.now_ms()
    assert [each.member for each in roll.present] == [member] == second.members()
    first.leave("a")
    assert second.members() == [] == both.world.leases.members()


async def test_without_redis_nobody_gets_or_keeps_a_lease_and_commits_still_count(both: Both) -> None:
    """Loss of Redis costs availability: rounds fail, while what was granted stays exactly as safe as before."""
    engine = both.engine()
    await both.world.create()
    both.world.held[0, ""] = lease = granted(take(engine, "a"))
    both.redis.kill()
    for call in (lambda: take(engine, "a"), lambda: engine.renew([lease], lease_ms=LEASE_MS)):
        with pytest.raises(StoreUnavailable):
            call()
    assert isinstance(await both.world.commit(history=[b"still the owner"]), Committed)
    both.redis.start()
    flush(both.redis)
    assert engine.renew([lease], lease_ms=LEASE_MS) == [True]


async def test_no_shards_no_answers(both: Both) -> None:
    """Empty lists are answered with empty lists."""
    engine = both.engine()
    assert engine.acquire([], version="", owner="a", lease_ms=5) == []
    assert engine.renew([], lease_ms=5) == []
    engine.release([], cause="release")
