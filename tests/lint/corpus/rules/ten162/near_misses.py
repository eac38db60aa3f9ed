"""Fan-out by activities, and pools where they belong."""

from concurrent.futures import ThreadPoolExecutor

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


executor = ThreadPoolExecutor(4)  # near miss: for the activities


@wfr.activity
def square_all(ctx: wf.WorkflowActivityContext, numbers: list) -> list:
    return list(executor.map(abs, numbers))  # near miss: in an activity


class Form:
    def submit(self, value: int) -> int:
        return value


@wfr.workflow
def mapped(ctx: wf.WorkflowContext, numbers: list):
    tasks = [ctx.call_activity(act, input={"n": n}) for n in numbers]  # near miss: activities in parallel
    yield wf.when_all(tasks)  # near miss: waits for them
    sizes = list(map(abs, numbers))  # near miss: the builtin map
    return Form().submit(sum(sizes))  # near miss: a method called submit
