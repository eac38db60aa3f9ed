"""TEN156: code from text, and foreign code."""

from __future__ import annotations

from tenuto._lint.rule import Profile, Rule, Use

RULE = Rule(
    id="TEN156",
    name="dynamic-code",
    message="{text}() runs code that nobody can check",
    why="What runs is decided by data, or lies outside Python: neither this linter nor a reviewer sees it.",
    breaks="A replay runs other code where the text has changed, and violations in it are found in production only.",
    instead="Write the code as a function; run what users give you in an activity, with limits.",
    profile=Profile.STRICT,
    calls={
        "builtins.compile": Use(),
        "builtins.eval": Use(),
        "builtins.exec": Use(),
        "code.InteractiveInterpreter.*": Use(),
        "cffi.*": Use(),
        "ctypes.*": Use(),
        "marshal.loads": Use(),
        "types.CodeType": Use(),
        "types.FunctionType": Use(),
    },
)
