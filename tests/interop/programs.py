"""Applications in SDKs that are not ours, run against a real engine, and what they report."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from engines import EngineProcess, short_folder
from servers import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIMEOUT_SECONDS = 180


class Addresses(msgspec.Struct, frozen=True):
    """Where an engine listens: `dapr` and `microsoft` as HOST:PORT."""

    engine: EngineProcess
    dapr: str
    microsoft: str


@contextmanager
def serving(*options: str, store: str = "memory:") -> Iterator[Addresses]:
    """An engine that serves both dialects."""
    dapr, microsoft = (f"127.0.0.1:{free_port()}" for _ in range(2))
    more = ("--listen-durabletask", microsoft, *options)
    with short_folder() as folder, EngineProcess(folder, *more, store=store, listen=dapr) as engine:
        yield Addresses(engine, dapr, microsoft)


def report(command: list[str | Path], **environment: str) -> dict[str, Any]:
    """Run a program that prints one JSON object a line for each scenario; returns them by name."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TENUTO_", "DAPR_", "PYTHON"))}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=clean | environment, check=False
    )
    found: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            one = json.loads(line)
            found[one.pop("scenario")] = one
    assert found, f"{command[0]} reported nothing; it said:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return found


def value_of(found: Mapping[str, Any], scenario: str) -> Any:
    """What a scenario gave; fails with the program's own traceback where it raised, or never came so far."""
    one = found.get(scenario, {"error": "the program ended before this scenario"})
    assert "error" not in one, one["error"]
    return "absent" if one.get("absent") else one["value"]
