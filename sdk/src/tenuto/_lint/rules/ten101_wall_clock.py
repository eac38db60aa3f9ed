"""TEN101: the wall clock as a `datetime` or `date`."""

from __future__ import annotations

from tenuto._lint.finding import Fix
from tenuto._lint.rule import Rule, Use
from tenuto._lint.view import Call


def _moment(call: Call) -> Fix | None:
    """The context's time is aware and in UTC, whatever the call gave."""
    function = call.function
    if function.ctx is None or call.is_handed_on:
        return None
    text = f"{function.ctx}.current_utc_datetime"
    zone = call.argument(0, "tz")
    if call.name == "datetime.date.today":
        text += ".date()"
    elif zone is not None and not _UTC.intersection(function.names(zone, call.scope)):
        text += f".astimezone({function.text_of(zone)})"
    return Fix(f"replace by {text}", (function.replace(call.node, text),))


_UTC = frozenset({"datetime.UTC", "datetime.timezone.utc", "zoneinfo.UTC", "pytz.UTC", "pytz.utc"})
_USE = Use(fix=_moment)

RULE = Rule(
    id="TEN101",
    name="wall-clock",
    message="{text}() reads the clock of the machine",
    why="It answers something else each time it is asked, and a workflow's code is run again from its first line.",
    breaks="A replay sees a later time than the first run: a branch on it goes the other way, and what is passed on or "
    "returned differs from what history records.",
    instead="Use ctx.current_utc_datetime: the time of the turn, aware and in UTC, the same in every replay.",
    calls={
        "datetime.datetime.now": _USE,
        "datetime.datetime.utcnow": _USE,
        "datetime.datetime.today": _USE,
        "datetime.date.today": _USE,
    },
    extensible=True,
)
