"""Activities that start workflows without a name for them."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def child(ctx: wf.WorkflowContext, order: dict):
    return (yield ctx.call_activity(act, input=order))


@wfr.activity
def started(ctx: wf.WorkflowActivityContext, order: dict) -> str:
    with wf.WorkflowClient() as client:
        return client.schedule_new_workflow(child, input=order)  # violation: TEN263: a second attempt starts a second one


@wfr.workflow
def parent(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity(started, input=order)
