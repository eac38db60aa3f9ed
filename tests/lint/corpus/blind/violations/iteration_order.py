"""The order of a set of strings differs from process to process."""

from dataclasses import dataclass, field

import tenuto as wf

wfr = wf.WorkflowRuntime()
CHANNELS = {"mail", "sms", "push"}


@dataclass
class Notice:
    text: str
    tags: set[str] = field(default_factory=set)
    readers: frozenset[str] = frozenset()


@wfr.activity
def notify(ctx: wf.WorkflowActivityContext, notice: dict) -> None: ...


@wfr.workflow
def everywhere(ctx: wf.WorkflowContext, text: str):
    for channel in {"mail", "sms", "push"}:  # violation: order: of a set display
        yield ctx.call_activity(notify, input={"to": channel, "text": text})


@wfr.workflow
def everywhere_by_constant(ctx: wf.WorkflowContext, text: str):
    for channel in CHANNELS:  # violation: order: of a set of the module
        yield ctx.call_activity(notify, input={"to": channel, "text": text})


@wfr.workflow
def unique(ctx: wf.WorkflowContext, recipients: list):
    for recipient in set(recipients):  # violation: order: made unique, and shuffled by it
        yield ctx.call_activity(notify, input={"to": recipient})


@wfr.workflow
def unique_at_once(ctx: wf.WorkflowContext, recipients: list):
    tasks = [ctx.call_activity(notify, input={"to": name}) for name in set(recipients)]  # violation: order: in a comprehension
    yield wf.when_all(tasks)


@wfr.workflow
def first_of(ctx: wf.WorkflowContext, recipients: list):
    unique_names = list(set(recipients))  # violation: order: the list has the set's order
    yield ctx.call_activity(notify, input={"to": unique_names[0]})


@wfr.workflow
def popped(ctx: wf.WorkflowContext, recipients: list):
    left = set(recipients)
    while left:
        yield ctx.call_activity(notify, input={"to": left.pop()})  # violation: order: pop takes any element


@wfr.workflow
def joined(ctx: wf.WorkflowContext, recipients: list):
    names = ", ".join({name.title() for name in recipients})  # violation: order: joins a set comprehension
    yield ctx.call_activity(notify, input={"text": f"sent to {names}"})


@wfr.workflow
def next_one(ctx: wf.WorkflowContext, recipients: list):
    someone = next(iter(set(recipients) - {"root"}))  # violation: order: any element of a difference
    yield ctx.call_activity(notify, input={"to": someone})


@wfr.workflow
def common(ctx: wf.WorkflowContext, old: dict, new: dict | None = None):
    for key in old.keys() & (new or {}).keys():  # violation: order: an intersection of keys is a set
        yield ctx.call_activity(notify, input={"changed": key})


@wfr.workflow
async def typed(ctx: wf.WorkflowContext, notice: Notice) -> None:
    for tag in notice.tags:  # violation: order: the field is annotated as a set
        await ctx.call_activity(notify, input={"tag": tag})
    for number, reader in enumerate(notice.readers):  # violation: order: enumerates a frozenset
        await ctx.call_activity(notify, input={"to": reader, "number": number})


@wfr.workflow
async def collected(ctx: wf.WorkflowContext, orders: list) -> None:
    warehouses = set()
    for order in orders:
        warehouses.add(order["warehouse"])
    pending = [ctx.call_activity(notify, input={"to": warehouse}) for warehouse in warehouses]  # violation: order: collected in a local set
    await wf.when_all(pending)


def merge_tags(left: list, right: list) -> set:
    return set(left) | set(right)


@wfr.workflow
async def merged(ctx: wf.WorkflowContext, texts: list) -> None:
    for tag in merge_tags(texts[:1], texts[1:]):  # violation: order: the helper returns a set
        await ctx.call_activity(notify, input={"tag": tag})


@wfr.workflow
async def keyed(ctx: wf.WorkflowContext, recipients: list) -> None:
    by_name = dict.fromkeys(set(recipients), 0)  # violation(keyed): order: the dictionary takes the set's order
    for name in by_name:  # via(keyed)
        await ctx.call_activity(notify, input={"to": name})


@wfr.workflow
async def starred(ctx: wf.WorkflowContext, recipients: list) -> None:
    first, *others = {name.lower() for name in recipients}  # violation: order: unpacks a set
    await ctx.call_activity(notify, input={"to": first, "cc": len(others)})
