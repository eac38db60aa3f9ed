"""State of one execution, or of activities."""

from collections import defaultdict

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


totals: dict = defaultdict(int)
LIMITS = {"gold": 10, "silver": 5}


@wfr.activity
def add(ctx: wf.WorkflowActivityContext, order: dict) -> int:
    totals[order["customer"]] += order["cents"]  # near miss: in an activity
    return totals[order["customer"]]  # near miss: the same


class Basket:
    def __init__(self) -> None:
        self.items: list = []

    def add(self, item: dict) -> None:
        self.items.append(item)  # near miss: an object of this execution


@wfr.workflow
def added(ctx: wf.WorkflowContext, order: dict):
    totals = {}
    totals[order["customer"]] = 1  # near miss: a local of that name
    basket = Basket()
    for item in order["items"]:
        basket.add(item)  # near miss: the execution's own
        yield ctx.call_activity(add, input=item)
    count = 0

    def bump() -> None:
        nonlocal count
        count += 1  # near miss: a variable of this execution

    bump()
    copy = dict(LIMITS)
    copy["gold"] += 1  # near miss: a copy
    return {"count": count, "limit": copy["gold"], "totals": totals}


log: list = []
log.append("loaded")  # near miss: when the module is imported
