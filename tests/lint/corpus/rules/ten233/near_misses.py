"""As many activities as were meant."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def fanned_out(ctx: wf.WorkflowContext, users: list):
    for begin in range(0, len(users), 100):
        part = users[begin : begin + 100]
        yield wf.when_all([ctx.call_activity(act, input=user) for user in part])  # near miss: a hundred at once
    yield wf.when_all([ctx.call_activity(act, input={"kind": kind}) for kind in ("mail", "sms")])  # near miss: two
    yield wf.when_all([ctx.call_activity(act, input={"n": n}) for n in range(5)])  # near miss: five
