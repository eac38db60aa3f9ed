"""The clocks of other libraries."""

import arrow
import numpy as np
import pandas as pd
import pendulum
from django.utils import timezone

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def window(ctx: wf.WorkflowContext, job: dict):
    end = pd.Timestamp.now(tz="UTC")  # violation: TEN105: pandas
    begin = arrow.utcnow().shift(days=-1)  # violation: TEN105: arrow
    yield ctx.call_activity(act, input={"from": str(begin), "to": str(end)})


def since() -> str:
    return pendulum.today("UTC").to_date_string()  # violation(since): TEN105: pendulum, in a helper


@wfr.workflow
async def follow_up(ctx: wf.WorkflowContext, job: dict) -> None:
    await ctx.call_activity(act, input={**job, "since": since()})  # via(since)
    if timezone.localdate() > timezone.now().date():  # violation: TEN105: django
        await ctx.call_activity(act, input=job)
    stamp = np.datetime64("now")  # violation: TEN105: numpy
    await ctx.call_activity(act, input={"stamp": str(stamp)})
