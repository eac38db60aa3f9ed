"""The web example: FastAPI's lifespan in one process, and four uvicorn workers that share one engine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from engines import EngineProcess

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SECONDS = 60  # until something is certainly wrong
PROCESSES = 4


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    """One engine for all web services of this module."""
    with TemporaryDirectory(prefix="tenuto-") as folder, EngineProcess(Path(folder)) as process:
        yield process


@contextmanager
def service(engine: EngineProcess, log: Path, *, processes: int) -> Iterator[httpx.Client]:
    """The web example under uvicorn on a free port; a client for it.

    The port is bound here and handed down, so that none can be taken by another program in between, and requests sent
    before the service listens wait in the socket's queue.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening, log.open("wb") as output:
        listening.set_inheritable(True)
        command = [sys.executable, "-m", "uvicorn", "web:app", "--app-dir", str(EXAMPLES), "--no-access-log"]
        command += ["--fd", str(listening.fileno()), "--workers", str(processes)]
        server = subprocess.Popen(
            command,
            env=engine.environment,
            stdout=output,
            stderr=output,
            pass_fds=[listening.fileno()],
        )
        host, port = listening.getsockname()
        try:
            with httpx.Client(base_url=f"http://{host}:{port}", timeout=SECONDS) as client:
                yield client
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(SECONDS)
            # Uvicorn ends by the signal once it has shut down in order.
            assert code in (0, -signal.SIGTERM), log.read_text()


def test_lifespan(engine: EngineProcess, tmp_path: Path) -> None:
    """A request starts a workflow and gets its result; the same order again finds the same instance."""
    with service(engine, tmp_path / "web.log", processes=1) as web:
        first = web.post("/orders", json={"id": "one", "quantity": 3})
        assert (first.status_code, first.json()["price"]) == (200, 21)
        assert web.post("/orders", json={"id": "one", "quantity": 3}).json() == first.json()
        assert web.get("/orders/one").json() == {"status": "COMPLETED", "receipt": first.json()}
        assert web.get("/orders/two").status_code == 404


def test_four_processes_share_one_engine(engine: EngineProcess, tmp_path: Path) -> None:
    """With four uvicorn workers every order is completed once, the work spread over several processes."""
    with service(engine, tmp_path / "web.log", processes=PROCESSES) as web, ThreadPoolExecutor(16) as customers:

        def place(number: int) -> httpx.Response:
            return web.post("/orders", json={"id": f"shared-{number}", "quantity": number})

        answers = list(customers.map(place, range(1, 101)))
        assert [answer.status_code for answer in answers] == [200] * 100
        assert [answer.json()["price"] for answer in answers] == [7 * number for number in range(1, 101)]
        workers = {answer.json()["worker"] for answer in answers}
        assert os.getpid() not in workers
        assert 2 <= len(workers) <= PROCESSES
