"""Sets whose order does not matter, or is made sure of; and dictionaries, which have one."""

from collections import Counter
from dataclasses import dataclass, field

import tenuto as wf

wfr = wf.WorkflowRuntime()
BLOCKED = {"bad.example", "worse.example"}
FINAL = frozenset({"done", "failed"})


@dataclass
class Campaign:
    name: str
    channels: set[str] = field(default_factory=set)
    budget: dict[str, int] = field(default_factory=dict)


@wfr.activity
def notify(ctx: wf.WorkflowActivityContext, notice: dict) -> str:
    return "done"


@wfr.workflow
def filtered(ctx: wf.WorkflowContext, recipients: list):
    allowed = [name for name in recipients if name.split("@")[1] not in BLOCKED]  # near miss: membership
    for name in sorted(set(allowed)):  # near miss: sorted
        status = yield ctx.call_activity(notify, input={"to": name})
        if status in {"failed", "refused"}:  # near miss: membership in a set display
            return len(set(recipients))  # near miss: only the size
    return len(FINAL & {"done"})  # near miss: the size of an intersection


@wfr.workflow
def compared(ctx: wf.WorkflowContext, jobs: list):
    wanted, had = {job["id"] for job in jobs}, {job["old_id"] for job in jobs}  # near miss: building a set
    if wanted == had or wanted <= had:  # near miss: comparing sets
        return "nothing to do"
    missing = sorted(wanted - had)  # near miss: a difference, sorted
    yield wf.when_all([ctx.call_activity(notify, input={"job": job}) for job in missing])
    return max(wanted)  # near miss: the greatest is the same in any order


@wfr.workflow
def folded(ctx: wf.WorkflowContext, orders: list):
    amounts = {order["cents"] for order in orders}
    total = sum(amounts)  # near miss: a sum of whole numbers
    late = any(order == "late" for order in {o["state"] for o in orders})  # near miss: any over a set
    seen = set()
    for state in {o["state"] for o in orders}:  # near miss: fills another set, no order can be seen
        seen.add(state)
    yield ctx.call_activity(notify, input={"total": total, "late": late, "states": len(seen)})


@wfr.workflow
def unique_in_order(ctx: wf.WorkflowContext, recipients: list):
    for name in dict.fromkeys(recipients):  # near miss: unique, in the list's order
        yield ctx.call_activity(notify, input={"to": name})
    seen = set()
    for name in recipients:  # near miss: iterates the list, asks the set
        if name in seen:
            continue
        seen.add(name)
        yield ctx.call_activity(notify, input={"to": name, "again": True})


@wfr.workflow
async def by_dictionary(ctx: wf.WorkflowContext, campaign: Campaign) -> list:
    for channel, cents in campaign.budget.items():  # near miss: dictionaries keep their order
        if channel in campaign.channels:  # near miss: membership in a field that is a set
            await ctx.call_activity(notify, input={"channel": channel, "cents": cents})
    tasks = {name: ctx.call_activity(notify, input={"channel": name}) for name in sorted(campaign.channels)}  # near miss: sorted field
    for task in tasks.values():  # near miss: a dictionary's values, in order
        await task
    common = Counter(sorted(campaign.budget)).most_common(1)  # near miss: of something sorted
    return [name for name, _ in common]


@wfr.workflow
async def renamed(ctx: wf.WorkflowContext, names: list) -> None:
    unique = set(names)
    unique = sorted(unique)  # near miss: sorted under the same name
    for name in unique:  # near miss: a list by now
        await ctx.call_activity(notify, input={"to": name})
