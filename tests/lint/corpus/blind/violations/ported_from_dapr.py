"""Code of the Dapr SDK, with the import changed and without annotations."""

import json
import random
import uuid
from datetime import datetime

import pendulum
import pytz
import torch
from django.utils import timezone

import tenuto as dapr_wf

wfr = dapr_wf.WorkflowRuntime()


@wfr.workflow(name="problematic_workflow")
def problematic(ctx, order):
    order_time = datetime.now(pytz.utc)  # violation: clock: the lesson's first mistake
    config = json.load(open("config.json"))  # violation: io: the lesson's third mistake
    result = yield ctx.call_activity("process_order", input={"order": order, "config": config})
    return {"result": result, "processed_at": order_time.isoformat()}


@wfr.workflow
def experiment(ctx, config):
    seed = torch.randint(0, 1_000_000, (1,)).item()  # violation: random: torch's global generator
    run = uuid.uuid4()  # violation: identity: names the run anew
    yield ctx.call_activity("train", input={**config, "seed": seed, "run": str(run)})


@wfr.workflow
def reminders(ctx, person):
    until = pendulum.now().add(days=1)  # violation: clock: pendulum's now
    yield ctx.create_timer(until)
    opened = timezone.now()  # violation: clock: django's now
    yield ctx.call_activity("remind", input={"person": person, "at": opened.isoformat()})


def split(ctx: dapr_wf.DaprWorkflowContext, wf_input):
    path = "a" if random.getrandbits(1) else "b"  # violation: random: which activity is asked for
    return (yield ctx.call_activity(f"path_{path}", input=wf_input))


@wfr.versioned_workflow(name="billing", is_latest=True)
def billing_v2(ctx, invoice):
    if datetime.utcnow().day == 1:  # violation: clock: in a versioned workflow
        yield ctx.call_activity("bill", input=invoice)


def main():
    wfr.register_workflow(split)
    wfr.start()
