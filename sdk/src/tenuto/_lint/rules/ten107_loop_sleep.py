"""TEN107: sleeps and timers of an event loop that does not run a workflow."""

from __future__ import annotations

from tenuto._lint.fixing import timer
from tenuto._lint.rule import Rule, Use

_USE = Use(fix=timer)

RULE = Rule(
    id="TEN107",
    name="loop-sleep",
    message="{text}() waits on an event loop that does not run the workflow",
    why="A workflow is stepped by replay, not by asyncio: it may wait for tasks of its context only, and nothing of "
    "such a sleep is recorded.",
    breaks="The turn is refused, for what is awaited is no task; where it were not, a replay would wait all over "
    "again.",
    instead="Wait by a timer: await ctx.create_timer(timedelta(seconds=n)), with yield in a generator.",
    calls={
        "asyncio.sleep": _USE,
        "asyncio.tasks.sleep": _USE,
        "anyio.sleep": _USE,
        "anyio.sleep_until": Use(),
        "anyio.sleep_forever": Use(),
        "trio.sleep": _USE,
        "trio.sleep_until": Use(),
        "trio.sleep_forever": Use(),
        "curio.sleep": _USE,
        "asyncio.AbstractEventLoop.call_later": Use(),
        "asyncio.AbstractEventLoop.call_at": Use(),
    },
)
