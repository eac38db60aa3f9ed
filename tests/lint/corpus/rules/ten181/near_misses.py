"""Sets put in order, or asked in ways that have none."""

from dataclasses import dataclass, field

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


REGIONS = frozenset(["eu", "us", "asia"])


@dataclass
class Release:
    name: str
    targets: set[str] = field(default_factory=set)
    steps: list[str] = field(default_factory=list)


@wfr.workflow
def deployed(ctx: wf.WorkflowContext, hosts: list):
    for host in sorted(set(hosts)):  # near miss: sorted
        yield ctx.call_activity(act, input={"host": host})
    down = {host for host in hosts if host.startswith("old")}
    if down.isdisjoint(REGIONS) and len(down) < 3:  # near miss: questions without order
        yield ctx.call_activity(act, input={"n": len(down)})
    if "eu" in REGIONS:  # near miss: membership
        yield ctx.call_activity(act, input={"eu": True})


@wfr.workflow
async def announced(ctx: wf.WorkflowContext, release: Release) -> str:
    ordered = sorted(release.targets, reverse=True)  # near miss: sorted
    await wf.when_all([ctx.call_activity(act, input={"to": target}) for target in ordered])  # near miss: a list
    for step in release.steps:  # near miss: a list
        await ctx.call_activity(act, input={"step": step})
    low, high = min(release.targets), max(release.targets)  # near miss: the extremes
    return ",".join(sorted({low, high}))  # near miss: sorted before it is joined


@wfr.workflow
def counted(ctx: wf.WorkflowContext, hosts: list):
    copies = set()
    for host in set(hosts):  # near miss: only fills another set
        copies.add(host.lower())
    lengths = sorted(len(host) for host in set(hosts))  # near miss: sorted around a generator
    total = sum(len(host) for host in set(hosts))  # near miss: a sum
    yield ctx.call_activity(act, input={"n": len(copies), "lengths": lengths, "total": total})


@wfr.workflow
def overwritten(ctx: wf.WorkflowContext, hosts: list):
    names = set(hosts)
    names = [name for name in hosts if name in names]  # near miss: a list of that name from here on
    for name in names:  # near miss: a list
        yield ctx.call_activity(act, input={"name": name})
