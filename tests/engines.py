"""A real engine process for tests: started on a unix socket in a temporary directory, ended by its own process id."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from pathlib import Path
from typing import Self

BIN = Path(sys.executable).parent
START_SECONDS = 60  # until something is certainly wrong; an engine takes about half a second


class EngineProcess:
    """One `tenuto-engine`, as a context manager.

    Args:
        folder: where its socket and its log are; a short path, for a socket's must fit into 108 bytes.
        store: its state store.
        options: further command-line words.
    """

    def __init__(self, folder: Path, *options: str, store: str = "memory:") -> None:
        self.address = f"unix:{folder}/engine.sock"
        self.log = folder / "engine.log"
        self._command = [str(BIN / "tenuto-engine"), "--state-store", store, "--listen", self.address]
        self._command += ["--http", "127.0.0.1:0", *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of programs that are to find this engine, and nothing of another."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TENUTO_")}
        return kept | {"TENUTO_ENGINE": self.address, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self.environment, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            is_up = bool(selector.select(START_SECONDS)) and bool(self._process.stdout.readline())
        if not is_up:
            self.__exit__()
        assert is_up, f"the engine did not start:\n{self.log.read_text()}"
        return self

    def __exit__(self, *_exc: object) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(START_SECONDS)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
