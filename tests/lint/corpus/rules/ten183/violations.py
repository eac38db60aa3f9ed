"""Collections whose order is an accident."""

import weakref
from importlib.metadata import entry_points

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


class Step:
    pass


class Pack(Step):
    pass


live: weakref.WeakSet = weakref.WeakSet()


@wfr.workflow
def stepped(ctx: wf.WorkflowContext, job: dict):
    for cls in Step.__subclasses__():  # violation: TEN183: in the order of their import
        yield ctx.call_activity(act, input={"step": cls.__name__})
    for plugin in entry_points(group="shop.steps"):  # violation: TEN183: whatever is installed
        yield ctx.call_activity(act, input={"plugin": plugin.name})
    for step in live:  # violation: TEN183: whichever still live
        yield ctx.call_activity(act, input={"step": str(step)})
