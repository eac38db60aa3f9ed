"""TEN145: listing folders."""

from __future__ import annotations

from tenuto._lint.rule import Rule, Use

_NAMES = (
    "glob.glob",
    "glob.iglob",
    "os.fwalk",
    "os.listdir",
    "os.scandir",
    "os.walk",
    "pathlib.Path.glob",
    "pathlib.Path.iterdir",
    "pathlib.Path.rglob",
    "pathlib.Path.walk",
)

RULE = Rule(
    id="TEN145",
    name="folder-listing",
    message="{text}() lists files, in an order that the file system makes",
    why="Which files there are changes, and so does their order, from one machine to the next.",
    breaks="A replay finds other files, or the same in another order, and asks for other activities than history "
    "records.",
    instead="List them in an activity, and sort there: return sorted(os.listdir(folder)).",
    calls={name: Use() for name in _NAMES},
)
