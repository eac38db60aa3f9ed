"""The shard map: everybody computes the same one, it is balanced, and it moves as little as it can."""

from __future__ import annotations

import random

import pytest

from tenuto_engine.core.shard_map import Candidate, assign, eligible, pack_shards, quotas, unpack_shards


def engines(count: int, *, weights: tuple[int, ...] = ()) -> list[Candidate]:
    """Engines with random-looking ids and the given weights, 1 where none is given."""
    names = [f"{random.Random(i).getrandbits(64):016x}" for i in range(count)]
    return [
        Candidate(name, weights[i] if i < len(weights) else 1, draining=False, has_workers=True)
        for i, name in enumerate(names)
    ]


def loads(owners: dict[int, str], members: list[Candidate]) -> list[int]:
    """How many shards each member has."""
    return [sum(owner == member.engine_id for owner in owners.values()) for member in members]


def moves(before: dict[int, str], after: dict[int, str]) -> int:
    """How many shards have another owner than before."""
    return sum(before[shard] != after[shard] for shard in before)


@pytest.mark.parametrize("shards", [1, 7, 64, 256, 1024])
@pytest.mark.parametrize("count", [1, 2, 3, 6, 13])
def test_loads_are_within_one_of_equal(shards: int, count: int) -> None:
    """Every shard has an owner, and no two loads differ by more than one."""
    members = engines(count)
    owners = assign(shards, members, {})
    assert set(owners) == set(range(shards))
    assert max(loads(owners, members)) - min(loads(owners, members)) <= 1


@pytest.mark.parametrize("shards", [64, 256, 1024])
def test_a_join_moves_no_more_than_the_newcomers_part(shards: int) -> None:
    """Only the newcomer gains, and exactly what it owns in the end."""
    members = engines(7)
    before = assign(shards, members[:6], {})
    after = assign(shards, members, before)
    assert moves(before, after) == loads(after, members)[6] == shards // 7
    assert max(loads(after, members)) - min(loads(after, members)) <= 1


@pytest.mark.parametrize("shards", [64, 256, 1024])
def test_a_leave_moves_only_what_the_leaver_owned(shards: int) -> None:
    """Nothing moves between those who stay."""
    members = engines(6)
    before = assign(shards, members, {})
    lost = loads(before, members)[0]
    after = assign(shards, members[1:], before)
    assert moves(before, after) == lost
    assert max(loads(after, members[1:])) - min(loads(after, members[1:])) <= 1


def test_the_map_does_not_depend_on_the_order_of_members() -> None:
    """Two engines that read the same members and owners compute the same map."""
    members = engines(5)
    owners = assign(64, members[:3], {})
    assert assign(64, members, owners) == assign(64, members[::-1], dict(reversed(owners.items())))


def test_the_map_of_the_map_is_the_map() -> None:
    """Once everybody owns what the map says, nothing moves any more."""
    for seed in range(50):
        rng = random.Random(seed)
        members = engines(rng.randint(1, 9), weights=tuple(rng.randint(1, 4) for _ in range(9)))
        owners = {shard: rng.choice([*(m.engine_id for m in members), "gone"]) for shard in range(rng.randint(0, 64))}
        wanted = assign(64, members, owners)
        assert assign(64, members, wanted) == wanted


@pytest.mark.parametrize("weights", [(1, 2), (3, 1, 1), (5, 4, 3, 2, 1), (1, 1, 2, 2)])
def test_weights_are_followed_within_one_shard(weights: tuple[int, ...]) -> None:
    """Each load is its weighted part, rounded down or up."""
    members = engines(len(weights), weights=weights)
    for member, load in zip(members, loads(assign(64, members, {}), members), strict=True):
        assert abs(load - 64 * member.weight / sum(weights)) < 1


def test_the_odd_shard_stays_where_it_is() -> None:
    """Rounding alone moves nothing: who owns one more than the others keeps it."""
    members = engines(3)
    for lucky in members:
        counts = {member.engine_id: 21 for member in members} | {lucky.engine_id: 22}
        assert quotas(64, members, counts) == counts


def test_draining_members_own_nothing() -> None:
    """A draining member is given nothing, also where nobody else has a worker."""
    leaving = Candidate("a", 1, draining=True, has_workers=True)
    idle = Candidate("b", 1, draining=False, has_workers=False)
    assert eligible([leaving, idle]) == [idle]
    assert eligible([leaving]) == []
    assert assign(8, eligible([leaving]), {}) == {}


def test_engines_without_a_worker_own_only_where_nobody_has_one() -> None:
    """They are caretakers."""
    with_worker = Candidate("a", 1, draining=False, has_workers=True)
    idle = Candidate("b", 1, draining=False, has_workers=False)
    assert eligible([with_worker, idle]) == [with_worker]
    assert eligible([idle]) == [idle]


def test_a_hundred_engines_converge_on_4096_shards() -> None:
    """Engines join and leave one after another; each map is balanced and moves only what it must."""
    pool = engines(100)
    members, owners = pool[:50], assign(4096, pool[:50], {})
    for joiner in pool[50:60]:
        members = [*members, joiner]
        after = assign(4096, members, owners)
        assert moves(owners, after) <= 4096 // len(members) + 1
        owners = after
    assert max(loads(owners, members)) - min(loads(owners, members)) <= 1


@pytest.mark.parametrize("shards", [[], [0], [63], [0, 1, 5, 4095]])
def test_a_set_of_shards_survives_its_heartbeat(shards: list[int]) -> None:
    """Written and read again it is the same; what is not such a text is nobody's."""
    assert unpack_shards(pack_shards(shards)) == shards
    assert unpack_shards("not a number") == []
