"""Texts of the command line to values: JSON, moments, durations, statuses."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from tenuto.client import WorkflowStatus

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def read_json(text: str | None, file: str | None, *, option: str, default: Any = None) -> Any:
    """Return the value given by `--OPTION JSON` or `--OPTION-file FILE` (`-`: standard input); else `default`.

    Raises:
        BadParameter: both are given, the file cannot be read, or the text is no JSON.
    """
    if text is not None and file is not None:
        raise typer.BadParameter(f"give --{option} or --{option}-file, not both")
    if text is None and file is None:
        return default
    where = f"--{option}"
    if file is not None:
        where = f"--{option}-file {file}"
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"{where} cannot be read: {error}") from error
    try:
        return json.loads(text or "")
    except ValueError as error:
        raise typer.BadParameter(f"{where} is not JSON: {error}. Text needs quotes: '\"text\"'") from error


def parse_duration(text: str) -> timedelta:
    """Return a duration such as `90s`, `15m`, `1h30m`, `7d`.

    Raises:
        BadParameter: it is not of this form.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        raise typer.BadParameter(f"{text!r} is no duration; write for example 90s, 15m, 1h30m or 7d")
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def parse_moment(text: str | None, *, sign: int) -> datetime | None:
    """Return a moment in ISO 8601 (without zone: local time), or a duration from now.

    Args:
        text: None gives None.
        sign: +1 where a duration lies ahead, -1 where it lies back.

    Raises:
        BadParameter: it is neither.
    """
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        pass
    try:
        return datetime.now(UTC) + sign * parse_duration(text)  # noqa: TID251  # the user's own clock is meant
    except (typer.BadParameter, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no moment; write ISO 8601 (2030-01-31T12:00Z) or a duration (90s, 15m, 2h, 7d)"
        ) from error


def parse_statuses(texts: list[str]) -> list[WorkflowStatus]:
    """Return statuses by name, in any case.

    Raises:
        BadParameter: there is no such status.
    """
    known = {status.name.lower(): status for status in WorkflowStatus if status is not WorkflowStatus.UNKNOWN}
    for text in texts:
        if text.lower() not in known:
            raise typer.BadParameter(f"{text!r} is no status; known are {', '.join(known)}")
    return [known[text.lower()] for text in texts]
