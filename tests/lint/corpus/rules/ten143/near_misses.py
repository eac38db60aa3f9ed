"""Models asked by activities, and their plain types."""

from openai import OpenAI, RateLimitError
from pydantic_ai import Agent

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


llm = OpenAI()  # near miss: for the activities
agent = Agent("openai:gpt-4o")  # near miss: the same


@wfr.activity
def label(ctx: wf.WorkflowActivityContext, text: str) -> str:
    return llm.responses.create(model="gpt-4o", input=text).output_text  # near miss: in an activity


@wfr.activity
async def ask(ctx: wf.WorkflowActivityContext, text: str) -> str:
    return (await agent.run(text)).output  # near miss: in an activity


@wfr.workflow
def triaged(ctx: wf.WorkflowContext, mail: dict):
    try:
        name = yield ctx.call_activity(label, input=mail["text"])
    except RateLimitError:  # near miss: a class
        name = "later"
    return (yield ctx.call_activity(ask, input=name))


class Plan:
    def invoke(self, text: str) -> str:
        return text.upper()

    def run(self, text: str) -> str:
        return text


@wfr.workflow
def planned(ctx: wf.WorkflowContext, mail: dict):
    agent = Plan()
    yield ctx.call_activity(act, input={"text": agent.run(mail["text"]), "b": agent.invoke("x")})  # near miss: a local of that name
