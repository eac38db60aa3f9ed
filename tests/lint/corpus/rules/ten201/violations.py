"""What a workflow leaves behind in the process."""

from collections import defaultdict

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


totals: dict = defaultdict(int)
log: list = []
count = 0


@wfr.workflow
def added(ctx: wf.WorkflowContext, order: dict):
    totals[order["customer"]] += order["cents"]  # violation: TEN201: added again by each replay
    yield ctx.call_activity(act, input=order)
    log.extend([order["id"], "done"])  # violation: TEN201: a list of the module


def bump() -> None:
    global count  # via(count)
    count = count + 1  # violation(count): TEN201: a global, in a helper


@wfr.workflow
async def bumped(ctx: wf.WorkflowContext, order: dict) -> None:
    bump()  # via(count)
    await ctx.call_activity(act, input=order)


class Registry:
    seen: set = set()
    last = ""

    def note(self, order: dict) -> None:
        self.seen.add(order["id"])  # violation(seen): TEN201: a set of the class
        Registry.last = order["id"]  # violation(last): TEN201: an attribute of the class


@wfr.workflow
def noted(ctx: wf.WorkflowContext, order: dict):
    Registry().note(order)  # via(seen) via(last)
    yield ctx.call_activity(act, input=order)
    del totals["x"]  # violation: TEN201: taken out of a dictionary of the module
