"""A project with modules of its own that are called like the standard library's."""

from datetime import timedelta

import tenuto as wf

from catalogue import uuid
from catalogue.os import environ

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def own_modules(ctx: wf.WorkflowContext, job: dict):
    import catalogue.random as random
    from catalogue import time

    offer = random.choice(job["offers"])  # near miss: the project's own module
    slot = time.slot(job["hour"])  # near miss: the project's own module called time
    name = uuid.uuid4(job["id"])  # near miss: the project's own, derived from its argument
    area = environ(job["area"])  # near miss: a function of the project
    yield ctx.call_activity(act, input={"offer": offer, "slot": slot, "name": name, "area": area})
    yield ctx.create_timer(timedelta(hours=1))
