"""Edits of a workflow's code under running instances, as tests and the page about them play them.

Each edit is a change of the text of one module, which is written and imported as a file, as a deployment brings it.
"""

from __future__ import annotations

import importlib.util
import re
import types
from pathlib import Path

HEAD = """\
from datetime import datetime, timedelta

import tenuto as wf


def reserve(ctx: wf.WorkflowActivityContext, item: str) -> str:
    return f"{item} reserved"


def charge(ctx: wf.WorkflowActivityContext, item: str) -> str:
    return f"{item} charged"


def charge_card(ctx: wf.WorkflowActivityContext, item: str) -> str:
    return f"{item} charged by card"


def pack(ctx: wf.WorkflowActivityContext, item: str) -> str:
    return f"{item} packed"


def inspect(ctx: wf.WorkflowActivityContext, item: str) -> str:
    return f"{item} inspected"
"""

BODY = """\


def order(ctx: wf.WorkflowContext, item: str):
    reserved = yield ctx.call_activity(reserve, input=item)
    charged = yield ctx.call_activity(charge, input=item)
    packed = yield ctx.call_activity(pack, input=item)
    yield ctx.wait_for_external_event("picked up")
    return [reserved, charged, packed]
"""

ORIGINAL = HEAD + BODY
CHARGE = "    charged = yield ctx.call_activity(charge, input=item)\n"
PACK = "    packed = yield ctx.call_activity(pack, input=item)\n"

EDITS = {
    "renamed": ORIGINAL.replace(CHARGE, CHARGE.replace("(charge,", "(charge_card,")),
    "reordered": ORIGINAL.replace(CHARGE + PACK, PACK + CHARGE),
    "removed": ORIGINAL.replace(CHARGE, "").replace("charged, packed]", "packed]"),
    "added": ORIGINAL.replace(CHARGE, "    inspected = yield ctx.call_activity(inspect, input=item)\n" + CHARGE),
    "timer": ORIGINAL.replace(CHARGE, "    yield ctx.create_timer(timedelta(milliseconds=1))\n" + CHARGE),
    "clock": ORIGINAL.replace(
        CHARGE,
        "    if datetime.now().year > 2000:\n    " + CHARGE.replace("charge,", "inspect,") + "    else:\n    " + CHARGE,
    ),
}


def load(folder: Path, text: str, name: str = "orders") -> types.ModuleType:
    """Import the text as a module of its own, from a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"{folder.name}_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def activities_of(module: types.ModuleType, *, workflows: tuple[str, ...] = ("order",)) -> list[types.FunctionType]:
    """The functions defined in a module, but for workflows."""
    return [
        each
        for name, each in vars(module).items()
        if isinstance(each, types.FunctionType) and name not in workflows and each.__module__ == module.__name__
    ]


_WHERE = re.compile(
    r"run the new code, with this (in place of|before|behind) lines? (\d+)(?: to (\d+))? of [^\n]*:\n\n(.*?)\n\n",
    re.DOTALL,
)


def paste(report: str, text: str) -> str:
    """What a reader of the report does: put its snippet where it says, with nothing changed."""
    found = _WHERE.search(report)
    assert found is not None, f"the report offers no snippet:\n{report}"
    lines = text.split("\n")
    first = int(found[2])
    last = int(found[3] or first)
    snippet = found[4].split("\n")
    match found[1]:
        case "before":
            lines[first - 1 : first - 1] = snippet
        case "behind":
            lines[last:last] = snippet
        case _:
            lines[first - 1 : last] = snippet
    return "\n".join(lines)
