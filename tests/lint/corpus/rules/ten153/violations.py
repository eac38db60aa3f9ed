"""Logging past the context."""

import logging

import structlog
from loguru import logger as loguru

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


log = logging.getLogger("orders")


def note(text: str) -> None:
    log.debug(text)  # violation(note): TEN153: in a helper


@wfr.workflow
def logged(ctx: wf.WorkflowContext, order: dict):
    note("began")  # via(note)
    structlog.get_logger().info("order", id=order["id"])  # violation: TEN153: structlog
    loguru.bind(order=order["id"]).warning("order")  # violation: TEN153: loguru
    yield ctx.call_activity(act, input=order)
    logging.getLogger(__name__).error("ended")  # violation: TEN153: a logger made on the spot
