"""TEN150: what depends on the locale, and on the time zone database."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule, Use
from tenuto._lint.scopes import literal
from tenuto._lint.view import Call, FunctionView

_BY_LOCALE = re.compile(r"%[-_0^#]?[aAbBcpxXZ]")
_NUMBER = re.compile(r"\{[^{}]*:[^{}]*n\}")


def check(function: FunctionView) -> Iterator[Hit]:
    """Find formats whose directives follow the locale, also in f-strings."""
    for call in function.calls:
        if isinstance(call.target, ast.Attribute) and call.target.attr == "strftime" and _by_locale(call):
            yield function.hit(call.node, "the format has directives that follow the locale")
        elif _is_number_format(call):
            yield function.hit(call.node, "the format 'n' follows the locale")
    for node in function.walk():
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
            text = "".join(literal(part) for part in node.format_spec.values)
            if _BY_LOCALE.search(text):
                yield function.hit(node.value, "the format has directives that follow the locale")


def _is_number_format(call: Call) -> bool:
    target = call.target
    return isinstance(target, ast.Attribute) and target.attr == "format" and bool(_NUMBER.search(literal(target.value)))


def _by_locale(call: Call) -> bool:
    return any(_BY_LOCALE.search(literal(one)) for one in call.args)


_ZONE = Use(message="{text}() depends on the time zone database of the image")

RULE = Rule(
    id="TEN150",
    name="locale",
    message="{text}() depends on the locale of the process",
    why="The locale is set per process, and the time zone database comes with the image.",
    breaks="A replay on another image gives another text, or another local time where a country changed its "
    "rules, than history records.",
    instead="Keep to UTC and ISO 8601 in workflows; make text for people, and local times, in activities.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    calls={
        "locale.*": Use(),
        "time.tzset": Use(),
        "zoneinfo.ZoneInfo": _ZONE,
        "zoneinfo.available_timezones": _ZONE,
        "pytz.timezone": _ZONE,
        "dateutil.tz.gettz": _ZONE,
        "dateutil.tz.tzlocal": _ZONE,
        "tzlocal.get_localzone": _ZONE,
        "babel.dates.*": Use(),
        "babel.numbers.*": Use(),
        "gettext.*": Use(),
    },
    reads={
        "time.tzname": Use(message="{text} is the zone of the machine"),
        "time.timezone": Use(message="{text} is the zone of the machine"),
    },
    check=check,
)
