"""Which faults happen when: a schedule that follows from a seed, so that a run can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass

# How often each kind comes, relative to the others.
PAIR_FAULTS = {
    "kill-engine": 4,
    "kill-app": 3,
    "kill-both": 2,
    "pause-engine": 4,
    "pause-app": 1,
    "drain": 3,
    "cut-store": 2,
    "cut-app": 2,
    "delay-store": 2,
    "block-to-store": 2,
    "block-from-store": 2,
    "block-to-app": 1,
    "block-from-app": 1,
    "lose-replies": 3,
}
STORE_FAULTS = {"restart-store": 2, "kill-store": 2, "pause-store": 1, "flush-scripts": 1, "rollout": 1}
LOSSY_FAULTS = {"lose-second": 4}


@dataclass(frozen=True)
class Fault:
    """One fault: when it begins, seconds after the start of the run; what; to which pair (-1: the store); how long."""

    at_s: float
    kind: str
    target: int
    seconds: float


def make_schedule(
    seed: int, *, seconds: float, pairs: int, lease_s: float, is_lossy: bool = False, pace_s: float = 2.5
) -> list[Fault]:
    """Make the faults of a run, in order.

    Args:
        seed: the same gives the same.
        seconds: the last fault begins before.
        pairs: engines with their apps.
        lease_s: pauses and blocks last longer or shorter than it, by chance.
        is_lossy: the store may lose its last second.
        pace_s: from one fault to the next, on average.
    """
    rng = random.Random(seed)
    store = STORE_FAULTS | (LOSSY_FAULTS if is_lossy else {})
    kinds = [*PAIR_FAULTS, *store]
    weights = [*PAIR_FAULTS.values(), *store.values()]
    faults: list[Fault] = []
    at_s = pace_s
    while at_s < seconds:
        (kind,) = rng.choices(kinds, weights)
        target = rng.randrange(pairs) if kind in PAIR_FAULTS else -1
        faults.append(Fault(round(at_s, 3), kind, target, round(_length(rng, kind, lease_s), 3)))
        at_s += rng.uniform(0.4, 1.6) * pace_s
    return faults


def _length(rng: random.Random, kind: str, lease_s: float) -> float:
    match kind:
        case "pause-engine" | "block-to-store" | "block-from-store":
            return rng.uniform(0.5, 3.0) * lease_s
        case "pause-store":
            return rng.uniform(0.2, 1.5) * lease_s
        case "pause-app" | "block-to-app" | "block-from-app":
            return rng.uniform(0.5, 4.0)
        case _:
            return rng.uniform(0.1, 2.0)
