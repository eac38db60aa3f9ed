"""Workflow code run for one turn under the guard, and helpers that stand in another module than their callers."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

from replay_world import registry_of
from tenuto._guard.guard import Guard, Mode
from tenuto._payloads import Payloads
from tenuto._replay import events as e
from tenuto._replay.executor import Executor, TurnOutcome
from tenuto.errors import GuardViolation


def one_turn(workflow: Callable[..., Any], mode: Mode = Mode.RAISE, *, payloads: Payloads | None = None) -> TurnOutcome:
    """The first turn of an instance "i" of `workflow`; its live code is dropped afterwards."""
    executor = live(workflow, mode, payloads=payloads)
    try:
        return executor.run([], [e.TurnStarted(1_000), e.ExecutionStarted("w", "i", "x")])
    finally:
        executor.close()


def live(workflow: Callable[..., Any], mode: Mode, *, payloads: Payloads | None = None) -> Executor:
    """An executor that has run nothing yet."""
    registry = registry_of(workflow)
    watch = Guard(mode, registry.workflow_functions).watch("i")
    return Executor("i", "x", definitions=registry, payloads=payloads or Payloads(), watch=watch)


def refusal(workflow: Callable[..., Any]) -> GuardViolation:
    """Why the guard refuses the first turn."""
    outcome = one_turn(workflow)
    assert isinstance(outcome.problem, GuardViolation), f"nothing was refused: {outcome}"
    assert outcome.actions == []
    return outcome.problem


def reads_clock() -> float:
    """Helper that reads a clock."""
    return time.time()


def reads_clock_two_calls_away() -> float:
    """Helper of a helper."""
    return reads_clock() + 1


@lru_cache
def reads_clock_cached(_key: int) -> float:
    """Helper behind a cache."""
    return time.time()


class Stopwatch:
    """Reads clocks in every way that a class can."""

    def since(self, moment: float) -> float:
        return time.monotonic() - moment

    def elapsed(self) -> float:
        return time.monotonic()

    @staticmethod
    def static() -> float:
        return time.monotonic()

    @classmethod
    def of_class(cls) -> float:
        return time.monotonic()

    @property
    def now(self) -> float:
        return time.monotonic()

    @cached_property
    def began(self) -> float:
        return time.monotonic()

    def __len__(self) -> int:
        return int(time.monotonic())

    def __call__(self) -> float:
        return time.monotonic()
