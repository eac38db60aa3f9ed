"""Activities handed over, or called where that is right."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def charge(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return act(ctx, order)  # near miss: one activity calls another as a function


wfr.register_activity(charge)
STEPS = [act, charge]


def net(order: dict) -> int:
    return order["cents"]


@wfr.workflow
def paid(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity(charge, input=order)  # near miss: handed over
    for step in STEPS:
        yield ctx.call_activity(step, input=order)  # near miss: handed over by a variable
    chosen = charge if order["big"] else act  # near miss: chosen, not called
    yield ctx.call_activity(chosen, input={"net": net(order)})  # near miss: a plain function is called


def act_on(order: dict) -> dict:
    return {**order, "acted": True}


@wfr.workflow
def named(ctx: wf.WorkflowContext, order: dict):
    order = act_on(order)  # near miss: a plain function of a similar name
    return (yield ctx.call_activity("charge", input=order))  # near miss: by name


def test_charge() -> None:
    assert charge(None, {"cents": 1})["cents"] == 1  # near miss: a test
