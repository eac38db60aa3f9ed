"""TEN106: sleeping in the process."""

from __future__ import annotations

from tenuto._lint.fixing import timer
from tenuto._lint.rule import Rule, Use

_USE = Use(fix=timer)

RULE = Rule(
    id="TEN106",
    name="sleep",
    message="{text}() blocks the worker instead of waiting durably",
    why="It holds up the thread that all workflows of the worker run on, nothing of it is recorded, and every replay "
    "sleeps again.",
    breaks="A replay of ten such pauses takes ten pauses; the turn exceeds its timeout and is tried again, until the "
    "instance stalls. A crash forgets how long was waited.",
    instead="Wait by a timer: yield ctx.create_timer(timedelta(seconds=n)), with await in an async def.",
    calls={"time.sleep": _USE, "gevent.sleep": _USE, "eventlet.sleep": _USE, "signal.pause": Use()},
    extensible=True,
)
