"""The keeper's rounds, one at a time, with clocks that move when they are told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from contract.backends import Clock
from tenuto_engine.core.limits import Limits
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease, LeaseStore, Roll
from tenuto_engine.runtime.context import Context, RuntimeSettings
from tenuto_engine.runtime.faults import Faults
from tenuto_engine.runtime.leases import LeaseKeeper
from tenuto_engine.runtime.metrics import Metrics
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState

SHARDS = 16


class Away:
    """A lease store that does not answer while `is_away`."""

    def __init__(self, inner: LeaseStore) -> None:
        self._inner = inner
        self.is_away = False
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.is_away:
                raise StoreUnavailable("no answer")
            return method(*args, **kwargs)

        return call


class Engine:
    """A keeper and what it said to its owner."""

    def __init__(
        self, world: World, name: str, *, has_workers: bool = True, capacity: int = 1, version: str = ""
    ) -> None:
        settings = RuntimeSettings(shards=SHARDS, lease_seconds=10.0, capacity=capacity, version=version)
        context = Context(settings, Limits(), metrics=Metrics(app="a", version=""), faults=Faults())
        context.engine_id = name
        context.monotonic = lambda: world.clock.now / 1000
        self.store = Away(MemoryLeaseStore(state=world.state))
        self.owned: dict[int, Lease] = {}
        self.told: list[tuple[str, Any]] = []
        self.gives_up = True
        self.keeper = LeaseKeeper(context, cast("LeaseStore", self.store), self, exclusive=False, call=_now)
        self.keeper.describe(draining=False, has_workers=has_workers)

    def granted(self, lease: Lease) -> None:
        self.owned[lease.shard] = lease
        self.told.append(("granted", lease.cause))

    def lost(self, lease: Lease, cause: str) -> None:
        self.owned.pop(lease.shard, None)
        self.told.append(("lost", cause))

    def surplus(self, leases: Sequence[Lease], cause: str) -> None:
        self.told.append(("surplus", cause))
        if self.gives_up:
            for lease in leases:
                del self.owned[lease.shard]
            self.keeper.give_up(leases, cause)

    def released(self, shards: Sequence[int]) -> None:
        self.told.append(("released", len(shards)))

    def learned(self, roll: Roll, *, desired: int, unowned: int) -> None:
        self.unowned = unowned

    def store_was_away(self) -> None:
        self.told.append(("back", None))


def _now(function: Callable[..., object], *arguments: object) -> None:
    function(*arguments)


class World:
    """A lease store's state and time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.state = MemoryState(clock=self.clock)
        self.engines: dict[str, Engine] = {}

    def add(self, name: str, **given: Any) -> Engine:
        self.engines[name] = Engine(self, name, **given)
        return self.engines[name]

    def rounds(self, seconds: float, *names: str) -> None:
        """Let time pass in steps of half a second, with a round of each named engine (all) in each."""
        for _ in range(int(seconds * 2)):
            self.clock.now += 500
            for engine in [self.engines[name] for name in names or self.engines]:
                engine.keeper.step()

    def check(self) -> None:
        """No shard has two owners, and each owner's token is the stored one."""
        for engine in self.engines.values():
            for shard, lease in engine.owned.items():
                stored = self.state.leases[shard, ""]
                assert (stored.token, stored.owner) == (lease.token, lease.owner)


@pytest.fixture
def world() -> World:
    return World()


def test_the_first_engine_takes_all_at_once(world: World) -> None:
    """One round is enough, and nothing is free afterwards."""
    a = world.add("a")
    a.keeper.step()
    assert len(a.owned) == SHARDS
    assert a.unowned == 0


def test_engines_share_evenly_after_a_while(world: World) -> None:
    """Shards move to a newcomer few at a time, only after the members were the same for half a lease."""
    a = world.add("a")
    a.keeper.step()
    b = world.add("b")
    world.rounds(4)
    assert (len(a.owned), len(b.owned)) == (SHARDS, 0)
    world.rounds(3)
    assert 0 < len(b.owned) < SHARDS // 2
    world.rounds(15)
    assert (len(a.owned), len(b.owned)) == (SHARDS // 2, SHARDS // 2)
    assert {cause for what, cause in a.told if what == "surplus"} == {"rebalance"}
    assert {cause for what, cause in b.told if what == "granted"} == {"rebalance"}
    world.check()


def test_nothing_moves_once_shares_are_even(world: World) -> None:
    """A hundred rounds later everybody owns what it owned."""
    a, b, c = (world.add(name) for name in "abc")
    world.rounds(60)
    before = [dict(engine.owned) for engine in (a, b, c)]
    world.rounds(50)
    assert [dict(engine.owned) for engine in (a, b, c)] == before
    assert sorted(map(len, before)) == [5, 5, 6]


def test_a_crash_is_taken_over_at_expiry(world: World) -> None:
    """The survivor's round just after the expiry owns everything, and knows why."""
    a, b = world.add("a"), world.add("b")
    world.rounds(40)
    survived = set(b.owned)
    a.keeper.step()
    b.keeper.step()
    world.rounds(9.5, "b")
    assert set(b.owned) == survived
    world.rounds(1, "b")
    assert len(b.owned) == SHARDS
    assert ("granted", "expiry") in b.told


def test_the_next_round_comes_just_after_the_others_expiry(world: World) -> None:
    """A member that is silent is looked at when its time is over, not a third of a lease later."""
    a, b = world.add("a"), world.add("b")
    world.rounds(40)
    world.clock.now += 8_900
    a.keeper.step()  # still here, so that its leases hold for ten seconds from now
    world.clock.now += 9_000
    pause = b.keeper.step()
    assert pause == pytest.approx(1.02, abs=0.01)


def test_a_drain_is_handed_over_by_its_engine_and_taken_at_once(world: World) -> None:
    """A draining engine acquires nothing, its released shards go to the other in the next round."""
    a, b = world.add("a"), world.add("b")
    world.rounds(40)
    a.keeper.describe(draining=True, has_workers=True)
    leases = list(a.owned.values())
    a.owned.clear()
    a.keeper.give_up(leases, "drain")
    a.keeper.step()
    b.keeper.step()
    assert len(b.owned) == SHARDS
    assert b.told.count(("granted", "drain")) == SHARDS // 2
    world.rounds(20)
    assert not a.owned
    world.check()


def test_a_caretaker_gives_all_up_when_a_worker_comes(world: World) -> None:
    """Without any worker the engines share; as soon as one has a worker, it gets everything at once."""
    a, b = (world.add(name, has_workers=False) for name in "ab")
    world.rounds(20)
    assert len(a.owned) + len(b.owned) == SHARDS
    b.keeper.describe(draining=False, has_workers=True)
    for engine in (b, a, a, b):
        engine.keeper.step()
    assert (len(a.owned), len(b.owned)) == (0, SHARDS)
    assert ("surplus", "release") in a.told


def test_weights_share_unevenly(world: World) -> None:
    """An engine of weight 3 owns three times as much as one of weight 1."""
    a, b = world.add("a", capacity=3), world.add("b")
    world.rounds(60)
    assert (len(a.owned), len(b.owned)) == (12, 4)


def test_an_engine_without_answers_lets_go_before_its_leases_run_out(world: World) -> None:
    """Nine tenths of a lease after the last confirmed round, measured from before it was asked."""
    a = world.add("a")
    a.keeper.step()
    a.store.is_away = True
    world.rounds(8.5)
    assert (a.keeper.is_confident, len(a.owned)) == (True, SHARDS)
    world.rounds(1)
    assert (a.keeper.is_confident, len(a.owned)) == (False, 0)


def test_a_paused_engine_is_not_confident_before_its_next_round(world: World) -> None:
    """Whoever asks it after the pause is told at once, though no round noticed yet."""
    a = world.add("a")
    a.keeper.step()
    world.clock.now += 30_000
    assert not a.keeper.is_confident


def test_after_an_outage_everything_is_acquired_anew(world: World) -> None:
    """The store may be an earlier one: all memory goes, and every shard gets a new token."""
    a = world.add("a")
    a.keeper.step()
    tokens = {lease.token for lease in a.owned.values()}
    a.store.is_away = True
    world.rounds(1)
    a.store.is_away = False
    world.rounds(1)
    assert ("lost", "store") in a.told
    assert len(a.owned) == SHARDS
    assert tokens.isdisjoint(lease.token for lease in a.owned.values())


def test_a_shard_whose_lease_was_taken_is_lost_at_the_next_round(world: World) -> None:
    """A renewal that is refused ends the ownership."""
    a = world.add("a")
    a.keeper.step()
    MemoryLeaseStore(state=world.state).acquire([3], version="", owner="thief", lease_ms=10_000, force=True)
    a.keeper.step()
    assert set(a.owned) == set(range(SHARDS)) - {3}
    assert ("lost", "expiry") in a.told


def test_after_another_server_answered_the_connection_is_made_anew(world: World) -> None:
    """Once, before the next round asks anything."""
    a = world.add("a")
    a.keeper.step()
    a.keeper.reconnect()
    a.keeper.step()
    a.keeper.step()
    assert a.store.closed == 1


def test_closing_releases_everything(world: World) -> None:
    """The next engine takes all in its first round, and the closed one is no member any more."""
    a = world.add("a")
    a.keeper.step()
    a.keeper.close()
    b = world.add("b")
    b.keeper.step()
    assert len(b.owned) == SHARDS
    assert [member.engine_id for member in MemoryLeaseStore(state=world.state).members()] == ["b"]


def test_two_maps_never_make_two_owners(world: World) -> None:
    """Engines that come, go, drain and pause in any order never own the same shard."""
    import random

    for seed in range(30):
        rng = random.Random(seed)
        one = World()
        names = [one.add(f"e{i}", has_workers=rng.random() < 0.7) for i in range(4)]
        for _ in range(120):
            one.clock.now += rng.randint(50, 1500)
            engine = rng.choice(names)
            if rng.random() < 0.1:
                engine.keeper.describe(draining=rng.random() < 0.3, has_workers=rng.random() < 0.8)
            engine.keeper.step()
            held = [shard for each in names for shard in each.owned if _is_valid(one, each.owned[shard])]
            assert len(held) == len(set(held)), f"seed {seed}"


def _is_valid(world: World, lease: Lease) -> bool:
    return world.state.leases[lease.shard, ""].token == lease.token


def test_an_engine_that_was_paused_is_unknown_to_other_versions_until_they_have_looked(world: World) -> None:
    """They send without asking for its messages once its heartbeat has run out, though nobody took its leases."""
    old, new = world.add("old", version="v1"), world.add("new", version="v2")
    world.rounds(10)
    assert (len(old.owned), len(new.owned)) == (SHARDS, SHARDS)
    world.rounds(15, "new")
    old.keeper.step()
    assert not old.owned
    world.rounds(1, "new")
    old.keeper.step()
    assert len(old.owned) == SHARDS


def test_an_engine_that_was_paused_alone_keeps_what_nobody_took(world: World) -> None:
    """Where no other version is, there is nobody to wait for."""
    a = world.add("a")
    a.keeper.step()
    before = dict(a.owned)
    world.clock.now += 30_000
    a.keeper.step()
    assert a.owned == before


def test_what_could_not_be_released_is_released_once_the_store_answers(world: World) -> None:
    """A drain that meets a store away for a moment does not leave its shards to their expiry."""
    a, b = world.add("a"), world.add("b")
    a.keeper.step()
    a.keeper.describe(draining=True, has_workers=True)
    leases = list(a.owned.values())
    a.owned.clear()
    a.keeper.give_up(leases, "drain")
    a.store.is_away = True
    a.keeper.step()
    a.store.is_away = False
    a.keeper.step()
    b.keeper.step()
    assert len(b.owned) == SHARDS
    assert b.told.count(("granted", "drain")) == SHARDS


def test_a_shard_dropped_while_it_was_named_surplus_can_be_handed_over_later(world: World) -> None:
    """A write was refused just then: what is acquired anew is another ownership."""
    a = world.add("a")
    a.keeper.step()
    a.gives_up = False
    b = world.add("b")
    lost = a.owned[3]
    a.keeper._leaving.add(3)  # as by a round that had read the leases before
    with a.keeper._lock:
        del a.keeper._leases[3]
    a.keeper.step()
    assert a.owned[3] is not lost
    a.gives_up = True
    a.keeper.describe(draining=False, has_workers=False)
    b.keeper.step()
    a.keeper.step()
    assert 3 not in a.owned


def test_members_are_unknown_from_the_heartbeat_until_its_answer_was_told(world: World) -> None:
    """An engine of another version begins to send once the store has this one's heartbeat."""
    a = world.add("a")
    a.keeper.step()
    known = [a.keeper.knows_members]
    to_tell: list[Callable[[], object]] = []
    a.keeper._call = lambda function, *arguments: to_tell.append(lambda: function(*arguments))
    a.keeper.step()
    known.append(a.keeper.knows_members)
    for tell in to_tell:
        tell()
    known.append(a.keeper.knows_members)
    assert known == [True, False, True]
