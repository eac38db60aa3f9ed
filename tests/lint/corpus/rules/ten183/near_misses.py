"""The same names listed, or sorted."""

from dataclasses import asdict, dataclass

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


STEPS = ("pick", "pack", "ship")


@dataclass
class Job:
    id: str
    size: int


@wfr.workflow
def stepped(ctx: wf.WorkflowContext, job: Job):
    for name in STEPS:  # near miss: a tuple
        yield ctx.call_activity(act, input={"step": name})
    for name, value in asdict(job).items():  # near miss: in the order of the fields
        yield ctx.call_activity(act, input={name: value})
    for name in sorted(vars(job)):  # near miss: sorted
        yield ctx.call_activity(act, input={"name": name})
