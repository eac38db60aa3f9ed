"""Replay processes from outside: started, asked, and ended where they do not answer."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from tenuto._offline.messages import Answer, Order, Ready
from tenuto._offline.perturbations import Surroundings

T = TypeVar("T")
# Importing an application may take long; nothing waits for ever.
_IMPORT_S: Final = 120.0
_READ_BYTES: Final = 1 << 16
_MAX_TRACE: Final = 4_000


class ApplicationRefused(Exception):
    """The application cannot be imported in these surroundings; the message is its traceback."""


class ReplayLost(Exception):
    """The process did not answer in time, or ended; the message says which."""


class ReplayProcess:
    """One process that replays; use it as a context manager.

    Args:
        target: the application as MODULE:RUNTIME.
        folder: an empty folder that it may work in.
        surroundings: what it is to be.
    """

    def __init__(self, target: str, folder: str, surroundings: Surroundings) -> None:
        paths = [path or str(Path.cwd()) for path in sys.path]
        order = Order(target, paths, folder, surroundings)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
        environment |= {"PYTHONHASHSEED": str(surroundings.hash_seed), "TZ": surroundings.zone}
        self._errors = TemporaryFile()  # noqa: SIM115  # closed with the process
        self._buffer = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tenuto._offline.child", msgspec.json.encode(order).decode()],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def wait_until_ready(self) -> None:
        """Wait until the application is imported.

        Raises:
            ApplicationRefused: it cannot be.
        """
        try:
            ready = self._read(Ready, _IMPORT_S)
        except ReplayLost as lost:
            raise ApplicationRefused(f"{lost}\n{self._said()}") from lost
        if ready.refusal:
            raise ApplicationRefused(ready.refusal)

    def replay(self, path: Path, timeout_s: float) -> Answer:
        """Replay one history.

        Raises:
            ReplayLost: there is no answer in time, or the process ended; it answers no more.
        """
        assert self._process.stdin is not None, "it was made with pipes"
        try:
            self._process.stdin.write(f"{path}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._lost() from error
        return self._read(Answer, timeout_s)

    def _read(self, kind: type[T], timeout_s: float) -> T:
        assert self._process.stdout is not None, "it was made with pipes"
        stream = self._process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ReplayLost(f"no answer within {timeout_s:g} s")
                read = os.read(stream, _READ_BYTES)
                if not read:
                    raise self._lost()
                self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\n")
        return msgspec.json.decode(line, type=kind)

    def _lost(self) -> ReplayLost:
        return ReplayLost(f"the process ended with code {self._process.wait()}")

    def _said(self) -> str:
        """The end of what it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace")[-_MAX_TRACE:]

    def kill(self) -> None:
        """End it from another thread: who waits for its answer loses it."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Nothing in it is worth an orderly end, and code that hangs would not take part in one.
        process = self._process
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, self._errors):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
