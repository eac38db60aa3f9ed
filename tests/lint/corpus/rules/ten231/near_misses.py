"""Saying a thing once."""

import logging

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


log = logging.getLogger(__name__)


@wfr.workflow
def greeted(ctx: wf.WorkflowContext, user: dict):
    if not ctx.is_replaying:  # near miss: only to log once
        log.info("greeting %s", user["name"])  # near miss: once
    yield ctx.call_activity(act, input=user)
    ctx.logger.info("replaying: %s", ctx.is_replaying)  # near miss: only written
    user_context = user.get("context", {})
    if user_context.get("is_replaying"):  # near miss: a field of the input
        yield ctx.call_activity(act, input=user)


class Tape:
    is_replaying = True


@wfr.workflow
def played(ctx: wf.WorkflowContext, user: dict):
    tape = Tape()
    if tape.is_replaying:  # near miss: another object's
        yield ctx.call_activity(act, input=user)
