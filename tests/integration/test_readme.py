"""The README's quick start does what it shows, word for word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SECONDS = 60  # until something is certainly wrong; the quick start takes about one


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name: a socket's path must fit into 108 bytes."""
    with TemporaryDirectory(prefix="tenuto-") as folder:
        yield Path(folder)


@pytest.fixture
def engine(place: Path) -> Iterator[str]:
    """The engine as the README starts it, but on a socket of its own; its address."""
    address = f"unix:{place}/engine.sock"
    with (place / "engine.log").open("wb") as log:
        process = subprocess.Popen(
            [BIN / "tenuto-engine", *engine_options(), "--listen", address, "--http", "127.0.0.1:0"],
            cwd=place,
            stdout=log,
            stderr=log,
        )
        yield address
        process.terminate()
        process.wait(timeout=SECONDS)


def readme() -> str:
    """The README's text."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


def engine_options() -> list[str]:
    """What the README gives to the engine."""
    command = re.search(r"^\.venv/bin/tenuto-engine (.*) &$", readme(), re.MULTILINE)
    assert command
    return command[1].split()


def run(command: list[str | Path], place: Path, engine: str) -> str:
    """Run one command of the README; answer what it printed."""
    environment = {**os.environ, "TENUTO_ENGINE": engine, "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    log = place / "engine.log"
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log.read_text() if log.exists() else ''}"
    return done.stdout


def test_quick_start(place: Path, engine: str) -> None:
    """The program prints the greetings, and the command line then lists and explains the instance."""
    program = re.search(r"```python\n(.*?)```", readme(), re.DOTALL)
    assert program
    (place / "hello.py").write_text(program[1], encoding="utf-8")
    instance_id, greetings = run([sys.executable, "hello.py"], place, engine).strip().split(" ", maxsplit=1)
    assert greetings == "Hello, Ada! Hello, Grace!"
    assert instance_id in run([BIN / "tenuto", "workflow", "list"], place, engine)
    assert "greet" in run([BIN / "tenuto", "trace", instance_id], place, engine)
