"""What type checkers make of the SDK's signatures: users see the types of their own annotations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PROGRAM = HERE / "results_of_calls.py"


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "mypy", "--strict", str(PROGRAM)],
        [sys.executable, "-m", "pyright", "--project", str(ROOT), str(PROGRAM)],
    ],
    ids=["mypy", "pyright"],
)
def test_results_have_the_type_of_the_annotation(command: list[str]) -> None:
    """Activities, children, races and fan-outs give what the called function says it returns."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_says_it_is_typed() -> None:
    """Without the marker, checkers would ignore every annotation."""
    assert (ROOT / "sdk" / "src" / "tenuto" / "py.typed").exists()
