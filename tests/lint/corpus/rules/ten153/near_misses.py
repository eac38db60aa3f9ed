"""Logging by the context, or in activities."""

import logging
import math

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


log = logging.getLogger("orders")  # near miss: a logger of the module


@wfr.workflow
def logged(ctx: wf.WorkflowContext, order: dict):
    ctx.logger.info("order %s", order["id"])  # near miss: the context's
    log = ctx.logger
    log.warning("order %s", order["id"])  # near miss: the context's, under the module's name
    yield ctx.call_activity(act, input={"log": math.log(order["n"]), "level": logging.INFO})  # near miss: a logarithm, a constant


@wfr.activity
def work(ctx: wf.WorkflowActivityContext, order: dict) -> None:
    log.info("working on %s", order["id"])  # near miss: in an activity
