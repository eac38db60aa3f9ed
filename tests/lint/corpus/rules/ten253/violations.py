"""Payments tried again and again."""

from datetime import timedelta

import requests

import tenuto as wf

wfr = wf.WorkflowRuntime()
FOR_EVER = wf.RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=None)


@wfr.activity
def charge(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return requests.post("https://pay.example", json=order, timeout=9).json()  # via(charge)


@wfr.workflow
def paid(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity(charge, input=order, retry_policy=FOR_EVER)  # violation(charge): TEN253: without end, and without an idempotency key
