"""Handlers that let it pass, or are not around a wait."""

import contextlib

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def kept_going(ctx: wf.WorkflowContext, jobs: list):
    for job in jobs:
        try:
            yield ctx.call_activity(act, input=job)
        except wf.TaskFailedError:  # near miss: the activity's failure
            continue
        except BaseException:  # near miss: raised again
            ctx.set_custom_status("stopped")
            raise
    try:
        number = int(jobs[0]["n"])
    except:  # noqa: E722  # near miss: nothing is waited for inside
        number = 0
    with contextlib.suppress(KeyError):  # near miss: one class
        number = jobs[0]["m"]
    try:
        yield ctx.call_activity(act, input={"n": number})
    except GeneratorExit:  # near miss: raised again
        raise
    except Exception as error:  # near miss: not what closes a generator
        return str(error)


@wfr.activity
def careful(ctx: wf.WorkflowActivityContext, job: dict) -> str:
    try:
        return str(1 / job["n"])
    except BaseException as error:  # near miss: in an activity
        return str(error)
