"""Changes at the beginning, or of own objects."""

import sys
import warnings
from types import SimpleNamespace

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


warnings.filterwarnings("ignore")  # near miss: when the module is imported
sys.setrecursionlimit(10_000)  # near miss: the same


@wfr.workflow
def tuned(ctx: wf.WorkflowContext, job: dict):
    own = SimpleNamespace()
    setattr(own, "folder", job["folder"])  # noqa: B010  # near miss: an object of this execution
    yield ctx.call_activity(act, input={"folder": own.folder})
