"""Java's published SDKs of both families run here unmodified. Part of `make interop`."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from interop.programs import HERE, ROOT, Addresses, report, value_of

COMMON: dict[str, Any] = {
    "chain": ["COMPLETED", 8],
    "fan_out": ["COMPLETED", 2450],
    "child": ["COMPLETED", 40],
    "retried": ["COMPLETED", 3],
    "continue_as_new": ["COMPLETED", "end"],
    "fails": ["FAILED", "boom"],
    "events": [1, 2],
    "suspend_and_resume": ["SUSPENDED", [1, 2]],
    "terminate": ["TERMINATED", "enough"],
}
DAPR = COMMON | {"purge": True}
MICROSOFT = COMMON | {
    "race": ["COMPLETED", "timer"],
    "caught": ["COMPLETED", "gave up: it never works"],
    "custom_status": ["waiting", False],
    "sent": [1, 2],
    "scheduled": ["PENDING", True],
    "restart": [True, 8],
    "purge": [1, False],
}


@cache
def libraries(family: str) -> Path:
    """A folder with the SDK and what it needs, made once for each project file."""
    project = HERE / "java" / family / "pom.xml"
    folder = ROOT / ".cache" / "interop" / "java" / family
    stamp = folder / "made-from"
    if not stamp.exists() or stamp.read_bytes() != project.read_bytes():
        copy: list[str | Path] = [
            "mvn",
            "-B",
            "-q",
            "-f",
            project,
            "dependency:copy-dependencies",
            f"-DoutputDirectory={folder}",
        ]
        subprocess.run(copy, check=True)
        stamp.write_bytes(project.read_bytes())
    return folder


@cache
def ran(family: str, address: str) -> dict[str, Any]:
    host, _, port = address.partition(":")
    program = HERE / "java" / family / "Features.java"
    return report(["java", "--class-path", f"{libraries(family)}/*", program, host, port])


@pytest.mark.parametrize("scenario", DAPR)
@pytest.mark.timeout(300)
def test_dapr(scenario: str, both_dialects: Addresses) -> None:
    """A feature of Dapr's workflow SDK for Java works as its documentation says."""
    assert value_of(ran("dapr", both_dialects.dapr), scenario) == DAPR[scenario]


@pytest.mark.parametrize("scenario", MICROSOFT)
@pytest.mark.timeout(300)
def test_durabletask(scenario: str, both_dialects: Addresses) -> None:
    """A feature of Microsoft's Durable Task SDK for Java works as its documentation says."""
    assert value_of(ran("microsoft", both_dialects.microsoft), scenario) == MICROSOFT[scenario]
