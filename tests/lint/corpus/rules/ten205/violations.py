"""Functions that see a variable's last value."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def delayed(ctx: wf.WorkflowContext, items: list):
    steps = []
    for item in items:
        steps.append(lambda: ctx.call_activity(act, input=item))  # noqa: B023  # violation: TEN205: all see the last item
    for step in steps:
        yield step()
