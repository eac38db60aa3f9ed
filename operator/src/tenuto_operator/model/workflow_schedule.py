"""The kind WorkflowSchedule: instances started by the clock. Here it is only read; engines keep and fire it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from tenuto_operator.model.decoding import SpecRefused, decode
from tenuto_operator.model.durations import Duration
from tenuto_operator.model.metadata import Metadata, Reference
from tenuto_operator.model.status import Condition
from tenuto_operator.model.workflow import Part

_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")),
    ("day of week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)
_TERM = re.compile(r"(?:\*|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?")


class WorkflowScheduleSpec(Part, frozen=True):
    """`catch_up`: how far back missed starts are made up for. `jitter`: the most by which a start is delayed."""

    workflow_ref: Reference
    workflow: str
    cron: str
    time_zone: str = "UTC"
    jitter: Duration = Duration()
    overlap: Literal["Skip", "Queue", "Allow", "TerminateOther"] = "Skip"
    catch_up: Duration = Duration(minutes=1)
    desired_state: Literal["Active", "Paused"] = "Active"
    input: Any = msgspec.UNSET


class WorkflowScheduleStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    last_time: datetime | None = None
    last_instance_id: str = ""
    next_time: datetime | None = None
    missed: int = 0


class WorkflowSchedule(msgspec.Struct, frozen=True):
    """One object of the kind, as last read."""

    metadata: Metadata
    spec: WorkflowScheduleSpec
    status: WorkflowScheduleStatus = WorkflowScheduleStatus()


def read_workflow_schedule(resource: Mapping[str, Any]) -> WorkflowSchedule:
    """Read a WorkflowSchedule, its cron expression included. Whether the zone exists is known where it is fired.

    Raises:
        SpecRefused: a field is wrong; the message names it and says what to change.
    """
    schedule = decode(WorkflowSchedule, resource)
    _check_cron(schedule.spec.cron)
    return schedule


def _check_cron(text: str) -> None:
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise SpecRefused(
            f"spec.cron: '{text}' has {len(fields)} fields; give five: minute, hour, day of month, month, day of week"
        )
    for field, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for term in field.split(","):
            wrong = _wrong_in(term, low, high, words)
            if wrong:
                raise SpecRefused(f"spec.cron: the {name} '{field}' {wrong}; give numbers from {low} to {high}")


def _wrong_in(term: str, low: int, high: int, words: tuple[str, ...]) -> str:
    """What is wrong with one term of a field; empty: nothing."""
    found = _TERM.fullmatch(term)
    if not found:
        return f"holds '{term}', which is none of *, N, N-M, */S, N-M/S"
    if found["step"] is not None and int(found["step"]) == 0:
        return "has a step of 0"
    ends: list[int] = []
    for part in (found["low"], found["high"]):
        if part is None:
            continue
        number = _number(part, low, words)
        if number is None or not low <= number <= high:
            return f"holds '{part}'"
        ends.append(number)
    return f"counts down in '{term}'" if ends != sorted(ends) else ""


def _number(text: str, low: int, words: tuple[str, ...]) -> int | None:
    if text.isascii() and text.isdecimal():
        return int(text)
    return words.index(text.upper()) + low if text.upper() in words else None
