"""Python's published SDKs of both families run here unmodified, each in an environment of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from environments import python_of
from interop.programs import HERE, Addresses, report, value_of

DAPR = ("dapr117", "dapr118", "dapr119")
SINCE_119 = ("listed", "history", "rerun")
_HISTORY_OF_THREE = [
    *("STARTED", "EXECUTION_STARTED", "TASK_SCHEDULED"),
    *("STARTED", "TASK_COMPLETED", "TASK_SCHEDULED") * 2,
    *("STARTED", "TASK_COMPLETED", "EXECUTION_COMPLETED"),
]
_MISMATCH = "Failed to restore orchestration state due to a history mismatch"

# What each scenario of dapr_features.py must give. A text that ends in "..." is the beginning of what is given.
DAPR_EXPECTED: dict[str, Any] = {
    "chain": ["COMPLETED", 8],
    "fan_out": ["COMPLETED", 2450],
    "race": ["COMPLETED", "timer"],
    "child": ["COMPLETED", 40],
    "failing_child": ["COMPLETED", "caught: Sub-orchestration task #1 failed: ..."],
    "retried": ["COMPLETED", 3],
    "retried_child": ["COMPLETED", "third time"],
    "exhausted": ["FAILED", "TaskFailedError", "..."],
    "fails": ["FAILED", "RuntimeError", "boom"],
    "unknown_activity": ["FAILED", "TaskFailedError", "..."],
    "other_app": ["FAILED", "NotSupported", "..."],
    "non_determinism": ["FAILED", "NonDeterminismError", f"{_MISMATCH}..."],
    "events": [{"n": 1}, {"n": 2}],
    "early_events": [1, 2],
    "continue_as_new": [3, 0],
    "pause_and_resume": ["SUSPENDED", "SUSPENDED", "COMPLETED", [1, 2]],
    "terminate": ["TERMINATED", {"why": "enough"}],
    "terminate_tree": "TERMINATED",
    "purge": None,
    "missing": None,
    "scheduled": ["PENDING", "COMPLETED", True],
    "taken_while_running": "ALREADY_EXISTS",
    "taken_after_the_end": 16,
    "wait_runs_out": "TimeoutError",
    "clock": ["COMPLETED", True],
    "who": ["COMPLETED", [True, 1]],
    "patched": ["COMPLETED", [True, True, True]],
    "versioned": ["COMPLETED", "two"],
    "state_fields": ["chain", True, True, 1],
    "asynchronous": ["SUSPENDED", [1, 2], "TERMINATED", None],
    "listed": True,
    "history": [name if name != "STARTED" else "WORKFLOW_STARTED" for name in _HISTORY_OF_THREE],
    "rerun": 400,
}

MICROSOFT_EXPECTED: dict[str, Any] = {
    "chain": ["COMPLETED", 8],
    "fan_out": ["COMPLETED", 2450],
    "race": ["COMPLETED", "timer"],
    "child": ["COMPLETED", 40],
    "failing_child": ["COMPLETED", "caught: durabletask.task.TaskFailedError"],
    "retried": ["COMPLETED", 3],
    "retried_child": ["COMPLETED", "third time"],
    "exhausted": ["FAILED", "TaskFailedError", "..."],
    "fails": ["FAILED", "RuntimeError", "boom"],
    "unknown_activity": ["FAILED", "TaskFailedError", "..."],
    "non_determinism": ["FAILED", "NonDeterminismError", f"{_MISMATCH}..."],
    "events": [{"n": 1}, {"n": 2}],
    "continue_as_new": [3, 0],
    "suspend_and_resume": ["SUSPENDED", "COMPLETED", [1, 2]],
    "terminate": ["TERMINATED", {"why": "enough"}],
    "terminate_tree": "TERMINATED",
    "terminate_root": "RUNNING",
    "purge_tree": [0, 2, None, 0],
    "purge_by_filter": [True, None],
    "missing": None,
    "scheduled": ["PENDING", "COMPLETED", True],
    "reuse": ["ALREADY_EXISTS", "ALREADY_EXISTS", "ALREADY_EXISTS", "OK", "OK"],
    "restart": [True, True, [8, 8], "NOT_FOUND"],
    "rewind": ["FAILED", "COMPLETED", [2, "mended"]],
    "rewind_tree": ["FAILED", "COMPLETED", [2, "mended"]],
    "rewind_beside_child": ["FAILED", "COMPLETED", [[1, 2], "mended"]],
    "tags_and_version": [None, "1.2"],
    "queries": [True, 8, True],
    "history": [
        {
            "STARTED": "OrchestratorStartedEvent",
            "EXECUTION_STARTED": "ExecutionStartedEvent",
            "TASK_SCHEDULED": "TaskScheduledEvent",
            "TASK_COMPLETED": "TaskCompletedEvent",
            "EXECUTION_COMPLETED": "ExecutionCompletedEvent",
        }[name]
        for name in _HISTORY_OF_THREE
    ],
    "long_history": 903,
    "deterministic_ids": [True, True],
    "sent": ["COMPLETED", [1, 2]],
    "clock": ["COMPLETED", True],
    "asynchronous": [1, 2],
    "wait_runs_out": "TimeoutError",
    "left_out": ["UNIMPLEMENTED", "NotSupported"],
}


@cache
def dapr_report(environment: str, address: str) -> dict[str, Any]:
    host, _, port = address.partition(":")
    return report([_python(environment), HERE / "python" / "dapr_features.py", host, port])


@cache
def microsoft_report(address: str) -> dict[str, Any]:
    return report([_python("durabletask"), HERE / "python" / "durabletask_features.py", address])


def _python(environment: str) -> Path:
    return python_of(f"requirements/interop/{environment}.txt")


@pytest.mark.parametrize("scenario", DAPR_EXPECTED)
@pytest.mark.parametrize("environment", DAPR)
@pytest.mark.timeout(240)
def test_dapr(environment: str, scenario: str, both_dialects: Addresses) -> None:
    """A feature of Dapr's workflow SDK works as its documentation says, in each of its generations."""
    given = value_of(dapr_report(environment, both_dialects.dapr), scenario)
    if scenario in SINCE_119 and environment != "dapr119":
        assert given == "absent"
    else:
        assert_like(given, DAPR_EXPECTED[scenario])


@pytest.mark.parametrize("scenario", MICROSOFT_EXPECTED)
@pytest.mark.timeout(240)
def test_durabletask(scenario: str, both_dialects: Addresses) -> None:
    """A feature of Microsoft's Durable Task SDK works as its documentation says."""
    assert_like(value_of(microsoft_report(both_dialects.microsoft), scenario), MICROSOFT_EXPECTED[scenario])


def assert_like(given: Any, expected: Any) -> None:
    """Compare; an expected text that ends in "..." is the beginning of the given one."""
    if isinstance(expected, str) and expected.endswith("...") and isinstance(given, str):
        assert given.startswith(expected.removesuffix("...")), (given, expected)
    elif isinstance(expected, list) and isinstance(given, list):
        assert len(given) == len(expected), (given, expected)
        for one, other in zip(given, expected, strict=True):
            assert_like(one, other)
    else:
        assert given == expected
