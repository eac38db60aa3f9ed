"""Defaults that are shared by all calls."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def collect(item: dict, into: list = []) -> list:  # noqa: B006  # via(into)
    into.append(item)  # violation(into): TEN203: in a helper
    return into


@wfr.workflow
def collected(ctx: wf.WorkflowContext, items: list):
    for item in items:
        collect(item)  # via(into)
    yield ctx.call_activity(act, input={"items": collect({})})  # via(into)


@wfr.workflow
def remembered(ctx: wf.WorkflowContext, item: dict, seen: dict = {}):  # noqa: B006  # via(seen)
    seen[item["id"]] = True  # violation(seen): TEN203: the workflow's own default
    yield ctx.call_activity(act, input={"n": len(seen)})  # via(seen)
