"""TEN102: clocks that give a number: the time of day, or a counter that only this process knows."""

from __future__ import annotations

from tenuto._lint.finding import Fix
from tenuto._lint.fixing import on_context
from tenuto._lint.rule import Rule, Use
from tenuto._lint.sources import READINGS
from tenuto._lint.view import Call


def _seconds(call: Call) -> Fix | None:
    """A counter such as `monotonic()` measures what the turn's time does not: only the time of day is surely meant."""
    return on_context(call, "current_utc_datetime.timestamp()", is_safe=call.name == "time.time")


RULE = Rule(
    id="TEN102",
    name="clock-reading",
    message="{text}() reads a clock of the machine",
    why="It gives another number each time, and a counter such as monotonic() starts anew with each process.",
    breaks="Durations and deadlines computed from it come out differently in a replay, so the code branches, waits or "
    "returns differently from what history records.",
    instead="Use ctx.current_utc_datetime.timestamp(); measure how long work takes in the activity that does it.",
    calls=dict.fromkeys(READINGS, Use(fix=_seconds)),
    extensible=True,
)
