"""Literals, expressions and methods of those names."""

import ast
import re

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


class Frame:
    def eval(self, text: str) -> str:
        return text


@wfr.workflow
def computed(ctx: wf.WorkflowContext, job: dict):
    value = ast.literal_eval(job["literal"])  # near miss: data only
    pattern = re.compile(job["pattern"])  # near miss: another compile
    frame = Frame().eval("a + b")  # near miss: a method
    yield ctx.call_activity(act, input={"value": value, "match": bool(pattern.match(frame))})
