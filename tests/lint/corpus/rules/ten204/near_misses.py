"""Caches of pure functions."""

from functools import cache, lru_cache

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@lru_cache(maxsize=128)
def factorial(n: int) -> int:  # near miss: a function of its argument
    return n * factorial(n - 1) if n else 1


@cache
def weekdays() -> tuple:  # near miss: a constant
    return ("monday", "tuesday")


@wfr.workflow
def counted(ctx: wf.WorkflowContext, n: int):
    yield ctx.call_activity(act, input={"n": factorial(n), "days": weekdays()})


@lru_cache
def connection(name: str) -> object:  # near miss: only activities call it
    return object()


@wfr.activity
def connected(ctx: wf.WorkflowActivityContext, name: str) -> str:
    return str(connection(name))
