"""TEN167: context variables that a workflow sets or reads."""

from __future__ import annotations

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Profile, Rule, Use

RULE = Rule(
    id="TEN167",
    name="context-variables",
    message="{text}() changes the context that all turns of the worker share",
    why="All turns of a worker run in one task, and so in one context.",
    breaks="What one instance sets is seen by the next one, and gone where the instance goes on in another process.",
    instead="Pass the value on as an argument, in the input of activities, or in an object of the workflow's own.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    calls={
        "contextvars.ContextVar.get": Use(message="{text}() reads what whoever ran before may have set"),
        "contextvars.ContextVar.set": Use(),
        "contextvars.ContextVar.reset": Use(),
        "contextvars.copy_context": Use(),
    },
)
