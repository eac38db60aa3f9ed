"""The same libraries with given moments."""

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
    end = pd.Timestamp(ctx.current_utc_datetime)  # near miss: of the context's clock
    begin = arrow.get(job["from"])  # near miss: parsed
    start = pendulum.parse(job["from"])  # near miss: parsed
    aware = timezone.make_aware(start)  # near miss: adds a zone
    stamp = np.datetime64("2024-01-01")  # near miss: a constant
    yield ctx.call_activity(act, input={"window": [str(value) for value in (begin, start, aware, end, stamp)]})
