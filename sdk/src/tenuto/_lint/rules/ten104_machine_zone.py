"""TEN104: conversions between moments and fields that use the time zone of the machine."""

from __future__ import annotations

from tenuto._lint.finding import Fix, Severity
from tenuto._lint.rule import Rule, Use
from tenuto._lint.view import Call


def _has_no_zone(call: Call) -> bool:
    return not call.is_handed_on and call.argument(1, "tz") is None and len(call.args) <= 1 and call.has_arguments


def _is_bare(call: Call) -> bool:
    return not call.has_arguments and not call.is_handed_on


def _with_arguments(call: Call) -> bool:
    return call.has_arguments


def _in_utc(call: Call) -> Fix | None:
    """The result becomes aware: what it is compared with must be too, so somebody should look."""
    if not call.args:
        return None
    name, imports = call.function.name_for("datetime", "UTC")
    edit = call.function.insert_after(call.args[0], f", tz={name}")
    return Fix(f"add tz={name}", (edit,), imports, is_safe=False)


RULE = Rule(
    id="TEN104",
    name="machine-zone",
    message="{text}() converts by the time zone of the machine",
    why="The zone is a setting of the machine or container (TZ, /etc/localtime), not of the workflow.",
    breaks="On a pod with another zone a replay gets another hour or day: branches on it and texts made of it differ "
    "from what history records.",
    instead="Give the zone: datetime.fromtimestamp(x, tz=UTC), moment.astimezone(UTC); calendar.timegm for mktime.",
    severity=Severity.WARNING,
    calls={
        "datetime.datetime.fromtimestamp": Use(when=_has_no_zone, fix=_in_utc),
        "datetime.date.fromtimestamp": Use(when=_with_arguments),
        "datetime.datetime.astimezone": Use(when=_is_bare),
        "@ctx.current_utc_datetime.astimezone": Use(when=_is_bare),
        "time.mktime": Use(),
        "time.localtime": Use(when=_with_arguments),
        "time.ctime": Use(when=_with_arguments),
    },
)
