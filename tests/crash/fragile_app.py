"""An application that kills itself: in an activity, or in a turn, until a file says that it was mended.

`CRASH_LEDGER` names the ledger; the file `<ledger>.mended` ends the dying. Each run of an activity, and each try of a
turn that may die, is one line of the ledger.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import tenuto as wf

wfr = wf.WorkflowRuntime(worker_ready_timeout=0)
LEDGER = Path(os.environ.get("CRASH_LEDGER", "ledger"))
MENDED = LEDGER.with_suffix(".mended")


def note(what: str) -> None:
    with LEDGER.open("ab", buffering=0) as ledger:
        ledger.write(what.encode() + b"\n")


def die_unless_mended() -> None:
    if not MENDED.exists():
        os.kill(os.getpid(), signal.SIGKILL)


@wfr.activity
def work(ctx: wf.WorkflowActivityContext, number: int) -> int:
    note(f"work {number}")
    return number


@wfr.activity
async def die_working(ctx: wf.WorkflowActivityContext, number: int) -> int:
    note(f"die_working {number} attempt {ctx.attempt}")
    die_unless_mended()
    return number


@wfr.workflow
def dies_in_activity(ctx: wf.WorkflowContext) -> Generator[Any, Any, list[int]]:
    first = yield ctx.call_activity(work, input=1)
    second = yield ctx.call_activity(die_working, input=2)
    return [first, second]


@wfr.workflow
def dies_in_turn(ctx: wf.WorkflowContext) -> Generator[Any, Any, list[int]]:
    first = yield ctx.call_activity(work, input=1)
    if not ctx.is_replaying:
        note("turn")
        die_unless_mended()
    second = yield ctx.call_activity(work, input=2)
    return [first, second]


@wfr.workflow
def wide(ctx: wf.WorkflowContext, count: int) -> Generator[Any, Any, int]:
    """Asks for more in one turn than fits into one commit."""
    return sum((yield wf.when_all([ctx.call_activity(work, input=number) for number in range(count)])))


if __name__ == "__main__":
    wfr.run()
