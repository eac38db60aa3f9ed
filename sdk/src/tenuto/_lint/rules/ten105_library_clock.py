"""TEN105: the current time by a library's own classes."""

from __future__ import annotations

from tenuto._lint.finding import Fix
from tenuto._lint.fixing import on_context
from tenuto._lint.rule import Rule, Use
from tenuto._lint.scopes import literal
from tenuto._lint.sources import LIBRARY_CLOCKS
from tenuto._lint.view import Call

_NOW = frozenset({"now", "today"})


def _says_now(call: Call) -> bool:
    first = call.argument(0)
    return first is not None and literal(first) in _NOW


def _is_bare(call: Call) -> bool:
    return not call.has_arguments and not call.is_handed_on


def _moment(call: Call) -> Fix | None:
    return on_context(call, "current_utc_datetime")


RULE = Rule(
    id="TEN105",
    name="library-clock",
    message="{text}() reads the clock of the machine",
    why="The library asks the same clock as datetime.now() does: it answers something else each time.",
    breaks="A replay sees a later time than the first run, and branches, waits or returns differently from what "
    "history records.",
    instead="Start from ctx.current_utc_datetime: arrow.get(...), pendulum.instance(...), pd.Timestamp(...) take it.",
    calls={
        **dict.fromkeys(LIBRARY_CLOCKS, Use()),
        "django.utils.timezone.now": Use(fix=_moment),
        "arrow.get": Use(when=_is_bare),
        "numpy.datetime64": Use(when=_says_now),
        "pandas.Timestamp": Use(when=_says_now),
        "pandas.to_datetime": Use(when=_says_now),
    },
    extensible=True,
)
