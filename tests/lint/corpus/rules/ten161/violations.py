"""Threads and their tools."""

import threading
from queue import Queue
from threading import Event as Flag, Timer

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


done = Flag()
guard = threading.RLock()


def in_background(job: dict) -> None:
    threading.Thread(target=print, args=(job,), daemon=True).start()  # violation(background): TEN161: in a helper


@wfr.workflow
def spawned(ctx: wf.WorkflowContext, job: dict):
    in_background(job)  # via(background)
    yield ctx.call_activity(act, input=job)
    done.wait(10)  # violation: TEN161: blocks until some thread has set it


@wfr.workflow
async def guarded(ctx: wf.WorkflowContext, job: dict) -> None:
    with guard:  # violation: TEN161: a lock of the module, held across a wait
        await ctx.call_activity(act, input=job)


@wfr.workflow
def reminded(ctx: wf.WorkflowContext, job: dict):
    timer = Timer(60, print)  # violation(timer): TEN161: a thread that waits
    timer.start()  # via(timer)
    yield ctx.call_activity(act, input=job)
    inbox: Queue = Queue()
    return inbox.get(timeout=1)  # violation: TEN161: blocks for a thread that there is not
