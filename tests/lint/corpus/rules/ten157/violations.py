"""What the interpreter's memory looks like."""

import gc
import sys
import weakref

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def collected(ctx: wf.WorkflowContext, job: dict):
    if gc.collect() > 0:  # violation: TEN157: depends on what else runs
        yield ctx.call_activity(act, input=job)
    cache = weakref.WeakValueDictionary()  # violation: TEN157: loses entries when memory likes
    if sys.getrefcount(job) > 3:  # violation: TEN157: depends on who else holds it
        yield ctx.call_activity(act, input={"n": len(cache)})
