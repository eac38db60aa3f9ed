"""Other event loops."""

import gevent
import nest_asyncio
import trio

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
async def slept(ctx: wf.WorkflowContext, job: dict) -> None:
    await trio.sleep(1)  # violation: TEN166: trio's loop
    await ctx.call_activity(act, input=job)


@wfr.workflow
def spawned(ctx: wf.WorkflowContext, job: dict):
    nest_asyncio.apply()  # violation: TEN166: patches the loop of the whole process
    gevent.spawn(print, job)  # violation: TEN166: a greenlet
    yield ctx.call_activity(act, input=job)
