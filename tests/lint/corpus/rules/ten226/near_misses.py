"""The context passed along inside the workflow."""

from dataclasses import dataclass

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@dataclass
class Steps:
    ctx: wf.WorkflowContext

    def do(self, order: dict) -> wf.Task:
        return self.ctx.call_activity(act, input=order)


def helper(ctx: wf.WorkflowContext, order: dict) -> wf.Task:
    return ctx.call_activity(act, input=order)


@wfr.workflow
def passed(ctx: wf.WorkflowContext, order: dict):
    steps = Steps(ctx)  # near miss: an object of this execution
    yield steps.do(order)
    yield helper(ctx, order)  # near miss: a helper of the workflow
    context = ctx  # near miss: another name for it
    later = lambda: context.call_activity(act, input=order)  # noqa: E731  # near miss: called in this workflow
    yield later()
    yield ctx.call_activity(act, input={"ctx": ctx.instance_id})  # near miss: only its id


@wfr.activity
def keep(ctx: wf.WorkflowActivityContext, order: dict) -> None:
    order["ctx"] = ctx  # near miss: an activity's context
