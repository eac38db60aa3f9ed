"""TEN148: environment variables, and settings made of them."""

from __future__ import annotations

from collections.abc import Iterator

from tenuto._lint.imported_values import source_of
from tenuto._lint.project import Found
from tenuto._lint.rule import Hit, Rule, Use
from tenuto._lint.view import FunctionView

_SETTINGS = frozenset({"pydantic.BaseSettings", "pydantic_settings.BaseSettings", "pydantic.env_settings.BaseSettings"})
_DEEPEST = 8
# What gives the value of a variable.
_READERS = frozenset({"os.environ", "os.environ.get", "os.getenv", "decouple.config"})


def check(function: FunctionView) -> Iterator[Hit]:
    """Find constructions of settings classes, and constants of modules that were read from the environment."""
    for read in function.reads:
        if source_of(function, read, _READERS):
            yield function.hit(read.node, f"{read.text} was read from the environment when its module was imported")
    for call in function.calls:
        if any(found.kind == "class" and _is_settings(function, found, _DEEPEST) for found in call.found):
            yield function.hit(call.node, f"{call.text}() fills its fields from the environment")


def _is_settings(function: FunctionView, found: Found, depth: int) -> bool:
    facts, module = found.class_facts, found.module
    if facts is None or module is None or not depth:
        return False
    bases = function.project.project.resolve_all(facts.bases, module)
    return any(base.name in _SETTINGS or _is_settings(function, base, depth - 1) for base in bases)


RULE = Rule(
    id="TEN148",
    name="environment",
    message="{text} reads the environment of the process",
    why="It is set per machine and per deployment, and nothing of it is recorded.",
    breaks="A replay on another pod, or after a deployment, reads another value and decides differently from "
    "what history records.",
    instead="Read it when the workflow is started and pass it as input, or read it in an activity.",
    calls={
        **{
            name: Use(message="{text}() reads the environment of the process")
            for name in (
                "os.getenv",
                "os.getenvb",
                "os.environ.get",
                "os.environ.items",
                "os.environ.keys",
                "os.environ.values",
                "os.environ.copy",
                "os.environ.setdefault",
                "os.environ.pop",
                "os.environ.update",
                "os.putenv",
                "os.unsetenv",
                "os.path.expandvars",
                "os.path.expanduser",
                "pathlib.Path.expanduser",
                "pathlib.Path.home",
                "decouple.config",
                "dotenv.dotenv_values",
                "dotenv.find_dotenv",
                "dotenv.load_dotenv",
                "dotenv.get_key",
            )
        },
        "environs.Env.*": Use(message="{text}() reads the environment of the process"),
    },
    reads={"os.environ": Use(), "os.environb": Use()},
    check=check,
    extensible=True,
)
