"""Patches whose names mean nothing certain."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def changed(ctx: wf.WorkflowContext, order: dict):
    if ctx.is_patched(f"step-{order['kind']}"):  # violation: TEN282: a name made at run time
        yield ctx.call_activity(act, input=order)
    if ctx.is_patched("gift"):
        yield ctx.call_activity(act, input={"gift": True})
    if ctx.is_patched(order["patch"]):  # violation: TEN282: a name from the input
        yield ctx.call_activity(act, input={"patch": True})


def name_of(order: dict) -> str:
    return order["kind"]


@wfr.workflow
async def chosen(ctx: wf.WorkflowContext, order: dict) -> None:
    name = name_of(order)
    if ctx.is_patched(name):  # violation: TEN282: a name made by a helper
        await ctx.call_activity(act, input=order)
