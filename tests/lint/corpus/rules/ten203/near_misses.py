"""Defaults that nobody changes."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def collect(item: dict, into: list | None = None) -> list:
    into = [] if into is None else into
    into.append(item)  # near miss: made anew
    return into


def merge(item: dict, extra: dict = {}) -> dict:  # noqa: B006  # near miss: only read
    return {**item, **extra}


@wfr.workflow
def collected(ctx: wf.WorkflowContext, items: list, names: tuple = ()):  # near miss: cannot be changed
    found = collect(items[0])
    yield ctx.call_activity(act, input={"items": found, "names": names, **merge(items[0])})
