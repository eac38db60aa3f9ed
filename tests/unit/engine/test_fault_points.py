"""Fault points are refused without leave, and die exactly where they are asked to."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tenuto_engine.runtime.faults import POINTS, Faults, FaultsRefused

LEAVE = {"TENUTO_ALLOW_FAULTS": "1"}


@pytest.mark.parametrize("env", [{"TENUTO_FAULT": "commit:before"}, {"TENUTO_FAULT_LOG": "points"}], ids=str)
@pytest.mark.parametrize("leave", [{}, {"TENUTO_ALLOW_FAULTS": ""}, {"TENUTO_ALLOW_FAULTS": "yes"}], ids=str)
def test_faults_need_leave(env: dict[str, str], leave: dict[str, str]) -> None:
    """A stray variable kills no engine: only TENUTO_ALLOW_FAULTS=1 gives leave."""
    with pytest.raises(FaultsRefused, match="TENUTO_ALLOW_FAULTS=1"):
        Faults.from_env(env | leave)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("commit", "unknown point 'commit'.*commit:before"),
        ("commit:during@ship", "unknown point 'commit:during'"),
        ("commit:before#x", "time 'x'"),
        ("commit:before#0", "time '0'"),
        ("commit:before#-1", "time '-1'"),
    ],
)
def test_malformed_faults_are_refused(fault: str, said: str) -> None:
    """An unknown point or count is refused, and the refusal says what is known."""
    with pytest.raises(FaultsRefused, match=said):
        Faults.from_env(LEAVE | {"TENUTO_FAULT": fault})


@pytest.mark.parametrize("point", POINTS)
def test_every_point_can_be_armed(point: str) -> None:
    """Each known point is accepted with a subject and a count."""
    assert Faults.from_env(LEAVE | {"TENUTO_FAULT": f"{point}@ship#3"}).armed


def test_without_fault_nothing_is_armed() -> None:
    """An engine without these variables reaches points for the price of one test; leave alone changes nothing."""
    assert not Faults.from_env({}).armed
    assert not Faults.from_env(LEAVE).armed
    Faults.from_env({}).reach("commit:before")


def test_points_are_counted_in_a_log(tmp_path: Path) -> None:
    """The log says how often each point was reached, whatever the subject, and kills nothing."""
    log = tmp_path / "points"
    faults = Faults.from_env(LEAVE | {"TENUTO_FAULT_LOG": str(log)})
    for point in ("turn:before", "commit:before", "turn:before"):
        faults.reach(point, "ship")
    assert log.read_text() == "commit:before 1\nturn:before 2\n"


PROGRAM = """
import os
from tenuto_engine.runtime.faults import Faults

faults = Faults.from_env(os.environ)
for subject in ("pack", "ship", "pack", "ship"):
    print(subject, flush=True)
    faults.reach("activity:before", subject)
    faults.reach("activity:after", subject)
"""


@pytest.mark.parametrize(
    ("fault", "reached"),
    [
        ("activity:before", ["pack"]),
        ("activity:after#3", ["pack", "ship", "pack"]),
        ("activity:before@ship", ["pack", "ship"]),
        ("activity:before@ship#2", ["pack", "ship", "pack", "ship"]),
    ],
)
def test_process_dies_at_the_point(fault: str, reached: list[str]) -> None:
    """The process is killed by SIGKILL at the n-th time the point is reached for the subject asked for."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=LEAVE | {"TENUTO_FAULT": fault},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.split() == reached
