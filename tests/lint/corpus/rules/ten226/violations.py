"""The context where it does not belong."""

import threading

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


current = None
contexts: dict = {}


@wfr.workflow
def kept(ctx: wf.WorkflowContext, order: dict):
    global current
    current = ctx  # violation: TEN226: kept in a global
    yield ctx.call_activity(act, input=order)


@wfr.workflow
def handed(ctx: wf.WorkflowContext, order: dict):
    contexts[order["id"]] = ctx  # violation: TEN226: kept in a dictionary of the module
    yield ctx.call_activity(act, input={"ctx": ctx})  # violation: TEN226: sent to an activity
    threading.Thread(target=lambda: ctx.set_custom_status("late")).start()  # violation: TEN226: used by a thread


class Holder:
    ctx = None


@wfr.workflow
async def held(ctx: wf.WorkflowContext, order: dict) -> None:
    Holder.ctx = ctx  # violation: TEN226: kept in a class
    await ctx.call_activity(act, input=order)
