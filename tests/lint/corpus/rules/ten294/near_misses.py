"""Wrappers that are known."""

import functools

from tenacity import retry, stop_after_attempt

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def checked(function):
    @functools.wraps(function)
    def wrapper(ctx: wf.WorkflowContext, job: dict):
        if not job:
            raise ValueError("no job")
        return function(ctx, job)

    return wrapper


@wfr.workflow
@checked  # near miss: the project's own, and pure
def guarded(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(fetched, input=job)


@wfr.activity
@retry(stop=stop_after_attempt(3))  # near miss: around an activity
def fetched(ctx: wf.WorkflowActivityContext, job: dict) -> dict:
    return job
