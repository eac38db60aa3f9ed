"""`tenuto dev`: an engine with an embedded store and, where named, the app, as child processes of one terminal.

A program that ends is started again, and that is said: durable workflows may lose either of them at any moment,
which is worth trying out. One that keeps ending right after its start ends the command instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from tenuto._cli.exits import Exit
from tenuto._cli.session import session_of

DEFAULT_STORE: Final = "sqlite:///.tenuto/dev.db"
# A program that ends sooner than this after its start has a fault that starting again does not mend.
_SETTLED_S: Final = 3.0
_MAX_QUICK_ENDS: Final = 3
_PAUSE_S: Final = 0.5
# Long enough to finish what usually runs; what is cut off runs again at the next start.
_DRAIN_S: Final = 5
_STOP_S: Final = 8.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MAX_LINE_BYTES: Final = 1 << 20
# What an engine prints once it serves. An app that starts earlier would begin with a warning that there is none.
_LISTENING: Final = "tenuto-engine listening on"


@dataclass
class Program:
    """One child process: how its lines are marked, how it is started, how it shows that it is ready."""

    label: str
    style: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    # Programs after this one in the list wait at the start until it prints a line with this text; empty: they do not.
    ready_text: str = ""


def dev(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(metavar="[MODULE:RUNTIME]", help="The app: a WorkflowRuntime in a module or .py file."),
    ] = None,
    *,
    state_store: Annotated[
        str, typer.Option("--state-store", metavar="URL", help="Where state is kept.")
    ] = DEFAULT_STORE,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT|unix:PATH", help="The engine's address; default as --engine."),
    ] = None,
    http: Annotated[str, typer.Option("--http", metavar="HOST:PORT", help="Health and metrics.")] = "127.0.0.1:7071",
) -> None:
    """Run an engine with an embedded store, and the app if one is named, until Ctrl-C."""
    session = session_of(context)
    if importlib.util.find_spec("tenuto_engine") is None:
        session.stop("the engine is not installed here: pip install tenuto[engine]", Exit.USAGE)
    address = listen or session.engine or "127.0.0.1:50001"
    _make_folder(state_store)
    environment = {"TENUTO_ENGINE": address}
    if session.token_file is not None:
        environment["TENUTO_TOKEN_FILE"] = session.token_file
    engine = [sys.executable, "-m", "tenuto_engine", "--state-store", state_store, "--listen", address, "--http", http]
    programs = [Program("engine", "cyan", [*engine, "--drain-seconds", str(_DRAIN_S)], environment, _LISTENING)]
    if target is not None:
        # Where code is written, what it must not do is refused at once; elsewhere it is only said.
        guarded = {"TENUTO_GUARD": os.environ.get("TENUTO_GUARD") or "raise", **environment}
        programs.append(Program("app", "green", [sys.executable, "-m", "tenuto._cli.app_host", target], guarded))
    raise typer.Exit(asyncio.run(Supervisor(programs, session.console).run()))


def _make_folder(state_store: str) -> None:
    """SQLite makes the file but not its folder."""
    if state_store.startswith("sqlite:///"):
        Path(state_store.removeprefix("sqlite:///").partition("?")[0]).parent.mkdir(parents=True, exist_ok=True)


class Supervisor:
    """Keeps programs running until a signal, and shows their lines.

    Args:
        programs: started in this order, stopped in the reverse one, so that the app can hand back its work.
        console: receives every line.
    """

    def __init__(self, programs: list[Program], console: Console) -> None:
        self._programs = programs
        self._console = console
        self._stop = asyncio.Event()
        self._running: dict[str, Process] = {}
        self._ready = {program.label: asyncio.Event() for program in programs if program.ready_text}
        self._code = Exit.OK
        self._width = max(len(program.label) for program in [*programs, _SELF])

    async def run(self) -> Exit:
        """Run until SIGINT, SIGTERM or SIGHUP, or until a program keeps ending; then stop all."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        try:
            async with asyncio.TaskGroup() as tasks:
                for place, program in enumerate(self._programs):
                    before = [self._ready[one.label] for one in self._programs[:place] if one.ready_text]
                    tasks.create_task(self._keep(program, before))
                await self._stop.wait()
                for ready in self._ready.values():
                    ready.set()
                for program in reversed(self._programs):
                    await self._end(program)
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        return self._code

    def _on_signal(self) -> None:
        if not self._stop.is_set():
            self._say("stopping; once more to stop at once")
            self._stop.set()
            return
        for process in self._running.values():
            process.kill()

    async def _keep(self, program: Program, before: list[asyncio.Event]) -> None:
        for ready in before:
            await ready.wait()
        quick_ends = 0
        while not self._stop.is_set():
            started_at = time.monotonic()
            code = await self._run_once(program)
            if self._stop.is_set():
                return
            quick_ends = quick_ends + 1 if time.monotonic() - started_at < _SETTLED_S else 0
            how = _ended(code)
            # Exit code 2 means that it was started wrongly: the same command would end the same way.
            if quick_ends >= _MAX_QUICK_ENDS or code == Exit.USAGE:
                self._say(f"{program.label} {how}; starting it again would not help: giving up")
                self._code = Exit.FAILED
                self._stop.set()
                return
            self._say(f"{program.label} {how}; starting it again")
            await self._pause()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_S):
                await self._stop.wait()

    async def _run_once(self, program: Program) -> int:
        # A session of its own keeps Ctrl-C from reaching the child before this process decides the order.
        process = await asyncio.create_subprocess_exec(
            *program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            limit=_MAX_LINE_BYTES,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **program.environment},
        )
        self._running[program.label] = process
        self._say(f"{program.label} started, process {process.pid}")
        await self._show_lines(program, process)
        code = await process.wait()
        del self._running[program.label]
        return code

    async def _show_lines(self, program: Program, process: Process) -> None:
        assert process.stdout is not None
        while line := await _read_line(process.stdout):
            text = line.decode("utf-8", "replace").rstrip()
            self._print(program, text)
            if program.ready_text and program.ready_text in text:
                self._ready[program.label].set()

    async def _end(self, program: Program) -> None:
        process = self._running.get(program.label)
        if process is None:
            return
        _signal(process.terminate)
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            self._say(f"{program.label} did not stop within {_STOP_S:g} s; killing it")
            _signal(process.kill)

    def _say(self, text: str) -> None:
        self._print(_SELF, text)

    def _print(self, program: Program, line: str) -> None:
        mark = f"{program.label:<{self._width}} │ "
        self._console.print(Text(mark, style=program.style).append_text(Text.from_ansi(line)), soft_wrap=True)


_SELF = Program("dev", "bold yellow", [])


async def _read_line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:
        # A line beyond the limit: what was read of it is gone, the stream goes on after it.
        return b"(a line of more than 1 MiB was left out)\n"


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(ProcessLookupError):  # It may have ended by itself just now.
        send()


def _ended(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
