"""The guide to workflows is one program, and prints what it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from engines import EngineProcess, short_folder

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "workflows.md"
SECONDS = 60  # until something is certainly wrong; the program takes about three


def blocks(language: str) -> list[str]:
    """The code blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_guide_prints_what_it_shows(tmp_path: Path) -> None:
    """All its code, run as one program, prints its outputs and nothing else."""
    program = tmp_path / "guide.py"
    program.write_text("\n".join(blocks("python")), encoding="utf-8")
    with short_folder() as folder, EngineProcess(folder) as engine:
        done = subprocess.run(
            [sys.executable, str(program)],
            env=engine.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(blocks("text"))
