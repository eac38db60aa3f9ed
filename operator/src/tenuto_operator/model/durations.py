"""Durations as Kubernetes writes them: `10s`, `1h30m`, `500ms`."""

from __future__ import annotations

import re
from datetime import timedelta

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_LONGEST = timedelta(days=36_500)


class Duration(timedelta):
    """A duration that was written in a spec. Range: [0, 100 years)."""

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read a duration; days and weeks have no letter, as in Kubernetes.

        Raises:
            ValueError: it is none; the message says how one is written.
        """
        parts = list(_PART.finditer(text))
        if not parts or "".join(part[0] for part in parts) != text:
            raise ValueError(f"'{text}' is no duration; write for example 500ms, 10s, 1h30m or 168h")
        try:
            made = cls(milliseconds=sum(float(part[1]) * _MILLISECONDS[part[2]] for part in parts))
        except OverflowError:
            made = cls(days=_LONGEST.days)
        if made >= _LONGEST:
            raise ValueError(f"'{text}' is longer than a century; give a shorter duration")
        return made


def write_duration(value: timedelta) -> str:
    """Return a duration in whole seconds and larger units, as people would write it: `1h30m`, `45s`, `0s`."""
    seconds = int(value.total_seconds())
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if number]
    return "".join(parts) or "0s"
