"""Dapr's published workflow SDK for Java runs here unmodified. Part of `make interop`."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from interop.programs import HERE, ROOT, Addresses, report, value_of

EXPECTED: dict[str, Any] = {
    "chain": ["COMPLETED", 8],
    "fan_out": ["COMPLETED", 2450],
    "child": ["COMPLETED", 40],
    "retried": ["COMPLETED", 3],
    "continue_as_new": ["COMPLETED", "end"],
    "fails": ["FAILED", "boom"],
    "events": [1, 2],
    "suspend_and_resume": ["SUSPENDED", [1, 2]],
    "terminate": ["TERMINATED", "enough"],
    "purge": True,
}


@cache
def libraries() -> Path:
    """A folder with the SDK and what it needs, made once for each project file."""
    project = HERE / "java" / "dapr" / "pom.xml"
    folder = ROOT / ".cache" / "interop" / "java"
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
def ran(host: str, port: str) -> dict[str, Any]:
    return report(["java", "--class-path", f"{libraries()}/*", HERE / "java" / "dapr" / "Features.java", host, port])


@pytest.mark.parametrize("scenario", EXPECTED)
@pytest.mark.timeout(300)
def test_dapr(scenario: str, both_dialects: Addresses) -> None:
    """A feature of Dapr's workflow SDK for Java works as its documentation says."""
    host, _, port = both_dialects.dapr.partition(":")
    assert value_of(ran(host, port), scenario) == EXPECTED[scenario]
