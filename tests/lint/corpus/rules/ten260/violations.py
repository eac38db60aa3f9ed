"""Events that miss each other."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def approved(ctx: wf.WorkflowContext, order: dict):
    yield ctx.wait_for_external_event("aproved")  # violation(name): TEN260: nobody raises that
    yield ctx.call_activity(act, input=order)


def approve(instance_id: str) -> None:
    with wf.WorkflowClient() as client:
        client.raise_workflow_event(instance_id, "approved")  # via(name)
