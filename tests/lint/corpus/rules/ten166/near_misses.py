"""Other event loops in activities."""

import trio

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def crawl(ctx: wf.WorkflowActivityContext, urls: list) -> None:
    trio.run(trio.sleep, 1)  # near miss: in an activity


class Trio:
    def sleep(self, hours: int) -> int:
        return hours


@wfr.workflow
def played(ctx: wf.WorkflowContext, piece: str):
    trio = Trio()
    yield ctx.call_activity(act, input={"piece": piece, "hours": trio.sleep(8)})  # near miss: a local of that name
