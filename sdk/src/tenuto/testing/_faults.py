"""Where an engine or a worker may be made to crash, and how often each such place was reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from threading import Lock
from typing import Final

from tenuto_engine.runtime.faults import POINTS

ACTIVITY_RAN: Final = "activity:ran"
"""The activity's code has returned or raised, and its worker has not said so yet; a place of the worker alone."""


class Party(Enum):
    """Who crashes."""

    ENGINE = "engine"
    WORKER = "worker"


class EngineKilled(SystemExit):
    """Ends an engine where it stands. A SystemExit, for asyncio lets nothing else through every task and callback."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A crash to come: the `nth` time, from 1, that a place is reached; where `at` is empty, the `nth` place of all."""

    party: Party
    at: str
    nth: int


class CrashPoints:
    """Counts places, and crashes who should at the one that was chosen. Places are reached on several threads.

    Args:
        crash_engine: called where the engine should crash while a worker's thread is at the place.
        crash_worker: called at the place where the worker should crash, on whichever thread that is.
    """

    def __init__(self, crash_engine: Callable[[], None], crash_worker: Callable[[], None]) -> None:
        self.reached: list[str] = []
        self._crash_engine = crash_engine
        self._crash_worker = crash_worker
        self._plans: list[Crash] = []
        self._counted: dict[str, int] = {}
        self._lock = Lock()

    def plan(self, crash: Crash) -> None:
        """Let a crash come; its count begins now.

        Raises:
            ValueError: there is no such place, or it is not one of that party.
        """
        known = places_of(crash.party)
        if crash.at and crash.at not in known:
            raise ValueError(
                f"there is no place {crash.at!r} for the {crash.party.value}; known are {', '.join(known)}"
            )
        if crash.nth < 1:
            raise ValueError(f"nth is {crash.nth}; places are counted from 1")
        with self._lock:
            so_far = self._counted.get(crash.at, 0) if crash.at else len(self.reached)
            self._plans.append(Crash(crash.party, crash.at, crash.nth + so_far))

    @property
    def pending(self) -> list[Crash]:
        """Crashes that have not come yet."""
        with self._lock:
            return list(self._plans)

    def reach(self, point: str, subject: str = "") -> None:
        """The engine is at a place, on its own thread: count it, and crash here who should. Raises EngineKilled."""
        due = self._count(point, subject)
        if Party.WORKER in due:
            self._crash_worker()
        if Party.ENGINE in due:
            raise EngineKilled

    def ran(self, activity: str) -> None:
        """A worker is at the place `activity:ran`: count it, and let crash who should."""
        due = self._count(ACTIVITY_RAN, activity)
        if Party.WORKER in due:
            self._crash_worker()
        if Party.ENGINE in due:
            self._crash_engine()

    def _count(self, point: str, subject: str) -> set[Party]:
        with self._lock:
            self.reached.append(f"{point} {subject}".strip())
            self._counted[point] = self._counted.get(point, 0) + 1
            due = [plan for plan in self._plans if self._is_here(plan, point)]
            self._plans = [plan for plan in self._plans if plan not in due]
        return {plan.party for plan in due}

    def _is_here(self, plan: Crash, point: str) -> bool:
        if not plan.at:
            return len(self.reached) == plan.nth
        return plan.at == point and self._counted[point] == plan.nth


def places_of(party: Party) -> tuple[str, ...]:
    """The names of the places at which a party may crash."""
    return POINTS if party is Party.ENGINE else (*POINTS, ACTIVITY_RAN)
