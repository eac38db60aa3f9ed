"""Patches named for ever."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


FREE = "free-delivery"


@wfr.workflow
def changed(ctx: wf.WorkflowContext, order: dict):
    if ctx.is_patched("two-steps"):  # near miss: a literal
        yield ctx.call_activity(act, input=order)
    if ctx.is_patched(FREE):  # near miss: a constant of the module
        yield ctx.call_activity(act, input={"free": True})
    else:
        yield ctx.call_activity(act, input={"free": False})


class Cloth:
    def is_patched(self, where: str) -> bool:
        return where == "knee"


@wfr.workflow
def sewn(ctx: wf.WorkflowContext, order: dict):
    if Cloth().is_patched(order["where"]):  # near miss: another is_patched
        yield ctx.call_activity(act, input=order)
