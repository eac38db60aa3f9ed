"""JavaScript's published SDKs of both families run here unmodified. Part of `make interop`."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from interop.programs import HERE, ROOT, Addresses, report, value_of

SOURCES = HERE / "javascript"
COMMON: dict[str, Any] = {
    "chain": ["COMPLETED", 8],
    "fan_out": ["COMPLETED", 2450],
    "race": ["COMPLETED", "timer"],
    "child": ["COMPLETED", 40],
    "continue_as_new": ["COMPLETED", "end"],
    "fails": ["FAILED", "boom"],
    "events": [1, 2],
    "suspend_and_resume": ["SUSPENDED", [1, 2]],
    "terminate": ["TERMINATED", "enough"],
}
DAPR = COMMON | {"caught": ["COMPLETED", "gave up"], "purge": [True, None]}
MICROSOFT = COMMON | {"retried": ["COMPLETED", 3], "sent": [1, 2], "purge": [1, None]}


@cache
def installed() -> Path:
    """A folder with the programs and what their lock file names, made once for each lock file."""
    folder = ROOT / ".cache" / "interop" / "javascript"
    folder.mkdir(parents=True, exist_ok=True)
    locked = (SOURCES / "package-lock.json").read_bytes()
    stamp = folder / "made-from"
    if not stamp.exists() or stamp.read_bytes() != locked:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCES / name, folder / name)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
        stamp.write_bytes(locked)
    for program in SOURCES.glob("*.js"):
        shutil.copy(program, folder / program.name)
    return folder


@cache
def ran(program: str, *arguments: str) -> dict[str, Any]:
    return report(["node", installed() / program, *arguments])


@pytest.mark.parametrize("scenario", DAPR)
@pytest.mark.timeout(300)
def test_dapr(scenario: str, both_dialects: Addresses) -> None:
    """A feature of Dapr's workflow SDK for JavaScript works as its documentation says."""
    host, _, port = both_dialects.dapr.partition(":")
    assert value_of(ran("dapr.js", host, port), scenario) == DAPR[scenario]


@pytest.mark.parametrize("scenario", MICROSOFT)
@pytest.mark.timeout(300)
def test_durabletask(scenario: str, both_dialects: Addresses) -> None:
    """A feature of Microsoft's Durable Task SDK for JavaScript works as its documentation says."""
    assert value_of(ran("durabletask.js", both_dialects.microsoft), scenario) == MICROSOFT[scenario]
