"""Lines that are written again by every replay."""

import logging
import sys

import structlog
from loguru import logger as loguru_logger

import tenuto as wf

wfr = wf.WorkflowRuntime()
logger = logging.getLogger(__name__)
log = structlog.get_logger()


@wfr.activity
def step(ctx: wf.WorkflowActivityContext, n: int) -> int:
    return n


@wfr.workflow
def printed(ctx: wf.WorkflowContext, n: int):
    print("starting", n)  # violation: logging: printed once per replay
    yield ctx.call_activity(step, input=n)


@wfr.workflow
def logged(ctx: wf.WorkflowContext, n: int):
    logger.info("starting %d", n)  # violation: logging: a plain logger
    try:
        yield ctx.call_activity(step, input=n)
    except wf.TaskFailedError:
        logger.exception("step %d failed", n)  # violation: logging: again in the error branch
        raise


@wfr.workflow
def logged_by_module(ctx: wf.WorkflowContext, n: int):
    logging.warning("starting %d", n)  # violation: logging: the root logger
    yield ctx.call_activity(step, input=n)


@wfr.workflow
def structured(ctx: wf.WorkflowContext, n: int):
    log.info("starting", n=n)  # violation: logging: structlog
    loguru_logger.debug("starting {}", n)  # violation: logging: loguru
    yield ctx.call_activity(step, input=n)


@wfr.workflow
def written(ctx: wf.WorkflowContext, n: int):
    sys.stderr.write(f"starting {n}\n")  # violation: logging: the stream itself
    yield ctx.call_activity(step, input=n)
