"""TEN121: functions of the module `random`."""

from __future__ import annotations

from tenuto._lint.finding import Fix
from tenuto._lint.fixing import target_on_context
from tenuto._lint.rule import Rule, Use
from tenuto._lint.sources import RANDOM
from tenuto._lint.view import Call


def _seeded(call: Call) -> Fix | None:
    return target_on_context(call, f"random().{call.name.removeprefix('random.')}")


RULE = Rule(
    id="TEN121",
    name="random-module",
    message="{text}() draws from the random numbers of the process",
    why="The generator is seeded anew in each process, and shared by everything that runs in it.",
    breaks="A replay draws another number: a branch on it goes the other way, and the workflow asks for another "
    "activity than history records.",
    instead="Use ctx.random(): a random.Random of this execution that gives the same numbers in every replay; or "
    "draw in an activity.",
    calls={
        **dict.fromkeys(RANDOM, Use(fix=_seeded)),
        "random.seed": Use(message="{text}() seeds the random numbers of the whole process"),
        "random.getstate": Use(),
        "random.setstate": Use(),
    },
    extensible=True,
)
