"""TEN124: functions that make unique ids."""

from __future__ import annotations

from tenuto._lint.finding import Fix
from tenuto._lint.fixing import on_context
from tenuto._lint.rule import Rule, Use
from tenuto._lint.sources import IDS
from tenuto._lint.view import Call


def _is_fresh(call: Call) -> bool:
    return not call.has_arguments and not call.is_handed_on


def _uuid(call: Call) -> Fix | None:
    return on_context(call, "new_uuid()")


_UUID = Use(fix=_uuid)
_FRESH = Use(when=_is_fresh)

RULE = Rule(
    id="TEN124",
    name="random-id",
    message="{text}() makes another id each time",
    why="It is made of random numbers, of the clock, or of the machine's address.",
    breaks="A replay makes another id: activities are asked for with another input, and whatever was created under the "
    "first id is not found again.",
    instead="Use ctx.new_uuid(): unlike any other, and the same in every replay; str(ctx.new_uuid()) for a text.",
    calls={
        **dict.fromkeys(IDS, Use()),
        "uuid.uuid1": _UUID,
        "uuid.uuid4": _UUID,
        "uuid.uuid6": _UUID,
        "uuid.uuid7": _UUID,
        "bson.ObjectId": _FRESH,
        "bson.objectid.ObjectId": _FRESH,
        "ulid.ULID": _FRESH,
    },
    extensible=True,
)
