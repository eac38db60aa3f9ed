"""Models asked by the workflow itself."""

import anthropic
import litellm
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from pydantic_ai import Agent

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


llm = OpenAI()
agent = Agent("openai:gpt-4o")


@wfr.workflow
def triaged(ctx: wf.WorkflowContext, mail: dict):
    answer = llm.responses.create(model="gpt-4o", input=mail["text"])  # violation: TEN143: a client of the module
    yield ctx.call_activity(act, input={"label": answer.output_text})


@wfr.workflow
async def answered(ctx: wf.WorkflowContext, mail: dict) -> None:
    client = AsyncOpenAI()  # via(async)
    answer = await client.chat.completions.create(model="gpt-4o", messages=[])  # violation(async): TEN143: awaited
    result = await agent.run(mail["text"])  # violation: TEN143: an agent without a durable wrapper
    await ctx.call_activity(act, input={"a": answer.id, "b": result.output})


def summary(text: str) -> str:
    message = anthropic.Anthropic().messages.create(model="claude", max_tokens=9, messages=[])  # violation(claude): TEN143: in a helper
    return message.content[0].text


@wfr.workflow
def summarised(ctx: wf.WorkflowContext, mail: dict):
    yield ctx.call_activity(act, input={"summary": summary(mail["text"])})  # via(claude)
    other = litellm.completion(model="gpt-4o", messages=[])  # violation: TEN143: litellm
    chat = ChatOpenAI().invoke("hello")  # violation: TEN143: langchain
    yield ctx.call_activity(act, input={"n": len(other.choices), "chat": chat.content})
