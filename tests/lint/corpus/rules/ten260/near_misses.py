"""Events that meet."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def approved(ctx: wf.WorkflowContext, order: dict):
    yield ctx.wait_for_external_event("Approved")  # near miss: case does not matter
    yield ctx.call_activity(act, input=order)
    ctx.raise_event(order["parent"], "done")  # near miss: awaited below


@wfr.workflow
def parent(ctx: wf.WorkflowContext, order: dict):
    yield ctx.wait_for_external_event("done")  # near miss: raised above


def approve(instance_id: str) -> None:
    with wf.WorkflowClient() as client:
        client.raise_workflow_event(instance_id, "approved")
