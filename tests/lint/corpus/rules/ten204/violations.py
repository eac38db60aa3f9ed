"""Caches that outlive the execution."""

from functools import cache, cached_property, lru_cache

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


rates: dict = {}


@lru_cache
def rate(country: str) -> int:  # via(rate)
    return rates.get(country, 0)  # violation(rate): TEN204: keeps what a dictionary held once


@cache
def numbers() -> list:  # violation(numbers): TEN204: every caller gets the same list
    return []


class Catalogue:
    @cached_property
    def size(self) -> int:  # via(size)
        return len(rates)  # violation(size): TEN204: of whoever asked first


catalogue = Catalogue()


@wfr.workflow
def priced(ctx: wf.WorkflowContext, order: dict):
    numbers().append(order["n"])  # via(numbers)
    yield ctx.call_activity(act, input={"rate": rate(order["country"]), "n": catalogue.size})  # via(rate) via(size)
