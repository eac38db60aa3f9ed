"""What the runtime takes from the machine it runs on: a clock that only rises, a calendar, chance, pauses.

Given from outside, so that a simulation can run many engines on a time of its own and repeat every step.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec


class Pause(Protocol):
    """How what recurs waits for its next round."""

    def __call__(self, seconds: float, woken: asyncio.Event | None = None) -> Awaitable[None]:
        """Wait so many seconds, or until the event is set."""
        ...


async def pause(seconds: float, woken: asyncio.Event | None = None) -> None:
    """Wait on the event loop's own clock."""
    if woken is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        pass


class Sources(msgspec.Struct, frozen=True):
    """The real ones by default.

    `monotonic_ns`: nanoseconds that never go back, from any origin; may be read from any thread. `unix_ns`: the
    calendar's, only a first guess at the store's clock. `random_hex`: so many random bytes, unguessable, as hex digits.
    `pause`: between the rounds of what recurs (sweeps, heartbeats, counting). No such round makes anything due, so who
    moves time by itself passes over them: `Engine.next_due_ms` and the event loop's timers say where to stop.
    """

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    unix_ns: Callable[[], int] = time.time_ns
    random_hex: Callable[[int], str] = secrets.token_hex
    pause: Pause = pause
