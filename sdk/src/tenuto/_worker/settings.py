"""How much a worker takes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Bounds of one worker.

    Args:
        max_threads: threads for synchronous activities; at least 1. Default 16: most activities wait for others, and
            sixteen waiting threads cost a few megabytes.
        max_activities: activities at once, synchronous and asynchronous together; 0: the engine's default.
        max_turns: turns at once that the engine may have sent here; 0: the engine's default. They run one after the
            other, so this is about keeping the worker busy, not about parallelism.
        max_sticky: live instances kept in memory; 0: none, each turn replays from the start. Default 2,000: an
            instance takes a few kilobytes.
        shutdown_grace_s: seconds that running activities get to end when the worker stops. Default 20: Kubernetes
            gives a pod 30 in all.
        check_inputs: whether a replay must also ask with the inputs, payloads, due times and results that history
            records. Default False: code may change them for what is done, without harm.
        slow_turn_s: seconds after which a turn that still blocks the worker is logged with its stack. Default 5.

    Raises:
        ValueError: a number is out of range.
    """

    max_threads: int = 16
    max_activities: int = 0
    max_turns: int = 0
    max_sticky: int = 2_000
    shutdown_grace_s: float = 20.0
    slow_turn_s: float = 5.0
    check_inputs: bool = False

    def __post_init__(self) -> None:
        if self.max_threads < 1:
            raise ValueError(f"max_threads is {self.max_threads}, but must be at least 1")
        for name in ("max_activities", "max_turns", "max_sticky", "shutdown_grace_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, but must not be negative")
        if self.slow_turn_s <= 0:
            raise ValueError(f"slow_turn_s is {self.slow_turn_s}, but must be positive")
