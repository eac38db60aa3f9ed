"""TEN103: functions of `time` and `email.utils` that take the current time where they are given none."""

from __future__ import annotations

from tenuto._lint.finding import Fix
from tenuto._lint.fixing import on_context
from tenuto._lint.rule import Rule, Use
from tenuto._lint.view import Call


def _is_now(call: Call) -> bool:
    return not call.has_arguments and not call.is_handed_on


def _is_now_in_mail(call: Call) -> bool:
    return call.argument(0, "timeval") is None


def _is_now_formatted(call: Call) -> bool:
    return not call.is_handed_on and call.argument(1, "t") is None and len(call.args) == 1


def _fields(call: Call) -> Fix | None:
    return on_context(call, "current_utc_datetime.utctimetuple()", is_safe=call.name == "time.gmtime")


def _text(call: Call) -> Fix | None:
    pattern = call.argument(0)
    if pattern is None:
        return None
    # In UTC, where the call took the zone of the machine: text for people may want another zone.
    return on_context(call, f"current_utc_datetime.strftime({call.function.text_of(pattern)})", is_safe=False)


RULE = Rule(
    id="TEN103",
    name="struct-time",
    message="{text}() takes the current time of the machine, for it is given none",
    why="Without a time these functions ask the clock, and most of them the time zone of the machine too.",
    breaks="A replay gets another time, on another machine perhaps in another zone; names, paths and texts made of it "
    "differ from what history records.",
    instead="Give it a time: time.gmtime(ctx.current_utc_datetime.timestamp()), or format ctx.current_utc_datetime.",
    calls={
        "time.localtime": Use(when=_is_now, fix=_fields),
        "time.gmtime": Use(when=_is_now, fix=_fields),
        "time.ctime": Use(when=_is_now),
        "time.asctime": Use(when=_is_now),
        "time.strftime": Use(when=_is_now_formatted, fix=_text),
        "email.utils.localtime": Use(when=_is_now),
        "email.utils.formatdate": Use(when=_is_now_in_mail),
    },
)
