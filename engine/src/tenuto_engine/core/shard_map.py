"""Which engine should own which shard: sticky, capped rendezvous hashing.

Every engine computes the same map from the same facts (who is a member, who owns what), so no leader is needed and a
difference of views costs a refused lease, never two owners. Three properties, in this order: every shard has an owner;
each load is within one shard of its fair part; a shard stays where it is unless the other two ask for a move.

Source: architecture section 5; the rendezvous weights replace a ring because a ring of few members is uneven.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

_MASK = (1 << 64) - 1


class Candidate(msgspec.Struct, frozen=True):
    """A member as the map sees it. `weight`: its part of the shards, relative to the others; >= 1."""

    engine_id: str
    weight: int
    draining: bool
    has_workers: bool


def eligible(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those who should own shards: not draining, and with a worker; where nobody has one, all (as caretakers)."""
    staying = [candidate for candidate in candidates if not candidate.draining]
    return [candidate for candidate in staying if candidate.has_workers] or staying


def assign(shards: int, members: Sequence[Candidate], owners: Mapping[int, str]) -> dict[int, str]:
    """Return the engine that should own each shard; empty where there is no member.

    Args:
        shards: how many there are; numbered from 0.
        members: the eligible ones, in any order.
        owners: who owns a shard now, as far as known; ids that are not in `members` count as nobody.
    """
    if not members:
        return {}
    ids = sorted(member.engine_id for member in members)
    seeds = {engine_id: _seed(engine_id) for engine_id in ids}
    owned: dict[str, list[int]] = {engine_id: [] for engine_id in ids}
    for shard, engine_id in owners.items():
        if engine_id in owned and 0 <= shard < shards:
            owned[engine_id].append(shard)
    quota = quotas(shards, members, {engine_id: len(held) for engine_id, held in owned.items()})
    wanted: dict[int, str] = {}
    left = dict(quota)
    for engine_id, held in owned.items():
        kept = held
        if len(held) > quota[engine_id]:
            kept = sorted(held, key=lambda shard: -_weight(seeds[engine_id], shard))[: quota[engine_id]]
        wanted.update(dict.fromkeys(kept, engine_id))
        left[engine_id] -= len(kept)
    for shard in range(shards):
        if shard not in wanted:
            takers = [engine_id for engine_id in ids if left[engine_id] > 0]
            taker = max(takers, key=lambda engine_id: _weight(seeds[engine_id], shard))
            wanted[shard] = taker
            left[taker] -= 1
    return wanted


def quotas(shards: int, members: Sequence[Candidate], loads: Mapping[str, int]) -> dict[str, int]:
    """How many shards each member should own: its weighted part, rounded so that the sum is right.

    Who already owns more than its rounded-down part keeps the odd shard, so that a rounding moves nothing.
    """
    total = sum(max(member.weight, 1) for member in members)
    part = {member.engine_id: divmod(shards * max(member.weight, 1), total) for member in members}
    quota = {engine_id: whole for engine_id, (whole, _) in part.items()}
    rest = shards - sum(quota.values())
    by_claim = sorted(quota, key=lambda e: (loads.get(e, 0) <= quota[e], -part[e][1], e))
    # With unequal weights a remainder of nothing is a fair part already: it must not be rounded up.
    for engine_id in [e for e in by_claim if part[e][1]][:rest]:
        quota[engine_id] += 1
    return quota


def pack_shards(shards: Iterable[int]) -> str:
    """Write a set of shards as the hexadecimal digits of a bit set, shard 0 lowest; a heartbeat carries it."""
    bits = 0
    for shard in shards:
        bits |= 1 << shard
    return format(bits, "x")


def unpack_shards(text: str) -> list[int]:
    """Read what `pack_shards` wrote, rising; nothing where it is not that (another release may write otherwise)."""
    try:
        bits = int(text or "0", 16)
    except ValueError:
        return []
    return [shard for shard in range(bits.bit_length()) if bits >> shard & 1]


def _seed(engine_id: str) -> int:
    raw = engine_id.encode()
    return zlib.crc32(raw) << 32 | zlib.crc32(raw, 0x9E3779B9)


def _weight(seed: int, shard: int) -> int:
    """Rendezvous weight of a member for a shard: the finalizer of splitmix64, quick and well mixed."""
    x = (seed ^ (shard + 1) * 0x9E3779B97F4A7C15) & _MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return x ^ x >> 31
