"""Sets whose order decides what is asked for."""

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


@wfr.workflow
def deployed(ctx: wf.WorkflowContext, hosts: list):
    pending = set(hosts)
    for host in pending:  # violation: TEN181: a local set
        yield ctx.call_activity(act, input={"host": host})


@wfr.workflow
async def announced(ctx: wf.WorkflowContext, release: Release) -> None:
    await wf.when_all([ctx.call_activity(act, input={"to": target}) for target in release.targets])  # violation: TEN181: a field that is a set


def regions_of(order: dict) -> set[str]:
    return {item["region"] for item in order["items"]}


@wfr.workflow
def spread(ctx: wf.WorkflowContext, order: dict):
    for region in regions_of(order):  # violation: TEN181: a helper that returns a set
        yield ctx.call_activity(act, input={"region": region})
    for region in REGIONS:  # violation: TEN181: a frozenset of the module
        yield ctx.call_activity(act, input={"region": region})


@wfr.workflow
def first(ctx: wf.WorkflowContext, hosts: list):
    host, *_ = set(hosts)  # violation: TEN181: unpacked
    yield ctx.call_activity(act, input={"host": host})
    names = tuple({name.lower() for name in hosts})  # violation: TEN181: made a tuple
    yield ctx.call_activity(act, input={"names": names})
    pairs = dict(zip(set(hosts), range(9), strict=False))  # violation: TEN181: zipped
    yield ctx.call_activity(act, input=pairs)


def fan_out(ctx: wf.WorkflowContext, names):
    for name in names:  # via(passed)
        yield ctx.call_activity(act, input={"name": name})


@wfr.workflow
def passed_on(ctx: wf.WorkflowContext, hosts: list):
    yield from fan_out(ctx, set(hosts))  # violation(passed): TEN181: handed to a helper that iterates it
