"""TEN143: clients of language models and agents."""

from __future__ import annotations

from collections.abc import Iterator

from tenuto._lint.rule import Hit, Rule, Use
from tenuto._lint.view import FunctionView

_CLIENTS = (
    "anthropic.Anthropic",
    "anthropic.AnthropicBedrock",
    "anthropic.AnthropicVertex",
    "anthropic.AsyncAnthropic",
    "cohere.AsyncClient",
    "cohere.Client",
    "cohere.ClientV2",
    "google.genai.Client",
    "google.generativeai.GenerativeModel",
    "groq.AsyncGroq",
    "groq.Groq",
    "mistralai.Mistral",
    "ollama.AsyncClient",
    "ollama.Client",
    "openai.AsyncAzureOpenAI",
    "openai.AsyncOpenAI",
    "openai.AzureOpenAI",
    "openai.OpenAI",
    "together.Together",
)
_FUNCTIONS = (
    "litellm.acompletion",
    "litellm.aembedding",
    "litellm.completion",
    "litellm.embedding",
    "ollama.chat",
    "ollama.embed",
    "ollama.generate",
    "openai.ChatCompletion.create",
    "openai.Completion.create",
    "openai.Embedding.create",
    "openai.chat.completions.create",
    "openai.responses.create",
    "agents.Runner.run",
    "agents.Runner.run_streamed",
    "agents.Runner.run_sync",
    "pydantic_ai.Agent.iter",
    "pydantic_ai.Agent.run",
    "pydantic_ai.Agent.run_stream",
    "pydantic_ai.Agent.run_sync",
    "pydantic_ai.agent.Agent.run",
    "pydantic_ai.agent.Agent.run_sync",
)
_FRAMEWORKS = ("langchain", "langgraph", "llama_index", "haystack", "crewai", "dspy")
_VERBS = frozenset(
    {
        "abatch", "achat", "acomplete", "ainvoke", "apredict", "aquery", "arun", "astream", "batch", "chat", "complete",
        "invoke", "kickoff", "predict", "query", "run", "stream",
    }
)  # fmt: skip


def check(function: FunctionView) -> Iterator[Hit]:
    """Find the verbs by which frameworks call a model, on their own objects."""
    for call in function.calls:
        for name in call.names:
            if name.startswith(_FRAMEWORKS) and name.rpartition(".")[2] in _VERBS and name.count("."):
                yield function.hit(call.node, f"{call.text}() calls a language model")
                break


RULE = Rule(
    id="TEN143",
    name="model-call",
    message="{text}() calls a language model",
    why="A model answers something else each time, also at temperature 0, and the call is not recorded.",
    breaks="Every replay asks, and pays, again; another answer chooses another tool or branch than history records.",
    instead="Call the model in an activity, whose answer is recorded once; one activity per call, so that a "
    "crash repeats only the last.",
    calls={**{f"{name}.*": Use() for name in _CLIENTS}, **{name: Use() for name in _FUNCTIONS}},
    check=check,
    extensible=True,
)
