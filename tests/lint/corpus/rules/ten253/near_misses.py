"""Payments tried again with care."""

from datetime import timedelta

import requests

import tenuto as wf

wfr = wf.WorkflowRuntime()
FOR_EVER = wf.RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=None)
THRICE = wf.RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3)


@wfr.activity
def charge(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    headers = {"Idempotency-Key": ctx.idempotency_key}
    return requests.post("https://pay.example", json=order, headers=headers, timeout=9).json()


@wfr.activity
def look(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return requests.get("https://pay.example", timeout=9).json()


@wfr.workflow
def paid(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity(charge, input=order, retry_policy=FOR_EVER)  # near miss: with an idempotency key
    yield ctx.call_activity(look, input=order, retry_policy=THRICE)  # near miss: only reads, thrice
