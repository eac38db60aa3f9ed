"""Fault points: the process kills itself with SIGKILL at a named line, for tests and the demo.

`TENUTO_FAULT=point[@filter][#n]` dies at the n-th time (from 1) the point is reached, counting only those whose
subject equals the filter. It is refused without `TENUTO_ALLOW_FAULTS=1`, so that no production engine dies by a
stray variable. `TENUTO_FAULT_LOG=path` instead counts and writes how often each point is reached, which is how the
crash matrix knows all of them.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

POINTS = (
    "create:before",
    "create:after",
    "append:before",
    "append:after",
    "commit:before",
    "commit:after",
    "reminder:before",
    "reminder:after",
    "deliver:before",
    "deliver:after",
    "activity:before",
    "activity:after",
    "turn:before",
    "turn:after",
    "purge:before",
    "purge:after",
)


class FaultsRefused(ValueError):
    """A fault was asked for without leave, or does not exist."""


class Faults:
    """Counts the points reached and dies at the one asked for. Without a fault, a call costs one attribute test."""

    def __init__(self, *, point: str = "", subject: str = "", count: int = 1, log: Path | None = None) -> None:
        self.armed = bool(point) or log is not None
        self._point, self._subject, self._left = point, subject, count
        self._log = log
        self._seen: Counter[str] = Counter()

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Faults:
        """Read `TENUTO_FAULT` and `TENUTO_FAULT_LOG`. Raises FaultsRefused."""
        wanted, log = env.get("TENUTO_FAULT", ""), env.get("TENUTO_FAULT_LOG", "")
        if not wanted and not log:
            return cls()
        if env.get("TENUTO_ALLOW_FAULTS") != "1":
            raise FaultsRefused(
                "TENUTO_FAULT or TENUTO_FAULT_LOG is set, and would kill or slow this engine on purpose; unset it, or "
                "set TENUTO_ALLOW_FAULTS=1 in a test"
            )
        rest, _, count = wanted.partition("#")
        point, _, subject = rest.partition("@")
        if point and point not in POINTS:
            raise FaultsRefused(f"TENUTO_FAULT names the unknown point '{point}'; known are {', '.join(POINTS)}")
        if not (count or "1").isdecimal() or int(count or 1) < 1:
            raise FaultsRefused(
                f"TENUTO_FAULT asks for time '{count}' of '{point}'; give a whole number from 1 after #"
            )
        return cls(point=point, subject=subject, count=int(count or 1), log=Path(log) if log else None)

    def reach(self, point: str, subject: str = "") -> None:
        """Count this point, and die here if it is the one asked for. `subject`: a name the filter may ask for."""
        if not self.armed:
            return
        self._seen[point] += 1
        if self._log is not None:
            self._log.write_text("".join(f"{name} {count}\n" for name, count in sorted(self._seen.items())))
        if point == self._point and self._subject in {"", subject}:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
