"""Functions that are called at once, or bind the value."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def delayed(ctx: wf.WorkflowContext, items: list):
    steps = []
    for item in items:
        steps.append(lambda item=item: ctx.call_activity(act, input=item))  # near miss: bound by a default
        label = sorted([item], key=lambda value: (item["id"], str(value)))  # near miss: called at once
        ctx.set_custom_status({"label": len(label)})
    for step in steps:
        yield step()
