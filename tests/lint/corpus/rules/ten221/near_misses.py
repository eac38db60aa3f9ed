"""Tasks by several roads."""

from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def task_of(ctx: wf.WorkflowContext, row: dict) -> wf.Task:
    return ctx.call_activity(act, input=row)


def steps(ctx: wf.WorkflowContext, rows: list):
    for row in rows:
        yield task_of(ctx, row)  # near miss: a helper's task


@wfr.workflow
def counted(ctx: wf.WorkflowContext, rows: list):
    pending = {row["id"]: task_of(ctx, row) for row in rows}
    for task in pending.values():
        yield task  # near miss: a variable that holds a task
    yield ctx.create_timer(timedelta(1)) if rows else ctx.wait_for_external_event("go")  # near miss: either is a task
    yield from steps(ctx, rows)  # near miss: delegates
    first = yield wf.when_any(list(pending.values()))  # near miss: a task of tasks
    total = sum(row["n"] for row in rows)
    generator = (row["n"] for row in rows)  # near miss: a generator expression yields nothing here

    def numbers():
        yield 1  # near miss: another generator, which the workflow reads
        yield 2

    return [first is not None, total, *generator, *numbers()]


@wfr.activity
def lines(ctx: wf.WorkflowActivityContext, text: str) -> list:
    def split():
        yield text  # near miss: in an activity

    return list(split())
