"""The stores of a chaos run, as real servers that can be restarted, killed, paused, and lose their last second."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections import deque
from pathlib import Path
from typing import Protocol

import psycopg
import redis

from chaos.wires import Place
from servers import NEWEST_REDIS, PostgresServer, RedisServer

# What a server with `appendfsync everysec` may lose, less the time it takes to look.
_SECOND = 0.9


class ChaosStore(Protocol):
    """One kind of store. `durability`: what its engines insist on."""

    kind: str
    durability: str

    @property
    def place(self) -> Place: ...

    @property
    def url(self) -> str: ...

    def way_in(self, folder: Path) -> Place:
        """Where a wire to it must listen; `folder` is the wire's own."""
        ...

    def url_at(self, place: Place) -> str:
        """The URL by way of a wire that listens there."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def restart(self) -> None:
        """End in order; `heal` starts it again."""
        ...

    def lose_second(self) -> None:
        """Die, and start without what was acknowledged within the last second."""
        ...

    def pause(self) -> None: ...

    def heal(self) -> None:
        """Run again, whatever happened to it."""
        ...

    def flush_scripts(self) -> None:
        """Forget what can be loaded again."""
        ...


class RedisStoreServer:
    """Redis with the append-only file: every write synced (D2), or every second (D1) where it may lose one.

    Args:
        folder: where its files are.
        is_lossy: for runs in which it loses its last second.
        release: of the server.
    """

    kind = "redis"

    def __init__(self, folder: Path, *, is_lossy: bool = False, release: str = NEWEST_REDIS) -> None:
        self.durability = "D1" if is_lossy else "D2"
        self.release = release
        self._port = _free_port()
        self._folder = folder
        fsync = "everysec" if is_lossy else "always"
        self._server = RedisServer(
            folder,
            release=release,
            bind="127.0.0.1",
            port=str(self._port),
            appendfsync=fsync,
            auto_aof_rewrite_percentage="0",
        )
        self._is_up = False
        self._sizes: deque[tuple[float, int]] = deque(maxlen=64)
        self._watcher: threading.Thread | None = None
        self._is_over = threading.Event()
        self._is_lossy = is_lossy

    @property
    def place(self) -> Place:
        return Place(port=self._port)

    @property
    def url(self) -> str:
        return self.url_at(self.place)

    def way_in(self, folder: Path) -> Place:
        return Place()

    def url_at(self, place: Place) -> str:
        return f"redis://127.0.0.1:{place.port}/0"

    def start(self) -> None:
        if not self._is_up:
            self._server.start()
            self._is_up = True
        if self._is_lossy and self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()

    def stop(self) -> None:
        self._is_over.set()
        self._server.stop()
        self._is_up = False
        if self._watcher is not None:
            self._watcher.join()

    def restart(self) -> None:
        self._server.stop()
        self._is_up = False

    def kill(self) -> None:
        self._server.kill()
        self._is_up = False

    def pause(self) -> None:
        self._server.pause()

    def heal(self) -> None:
        if self._is_up:
            self._server.resume()
        self.start()

    def flush_scripts(self) -> None:
        with contextlib.suppress(redis.RedisError), self._server.client() as client:
            client.script_flush()

    def lose_second(self) -> None:
        died_at = time.monotonic()
        self.kill()
        kept = [size for at, size in self._sizes if at <= died_at - _SECOND]
        if kept:
            path = self._newest()
            if path.stat().st_size > kept[-1]:
                with path.open("r+b") as file:
                    file.truncate(kept[-1])
        self._sizes.clear()

    def wait_until_old(self) -> None:
        """Wait until what is written now would survive the loss of a second."""
        size = self._newest().stat().st_size
        while not any(at <= time.monotonic() - _SECOND and kept >= size for at, kept in list(self._sizes)):
            self._is_over.wait(0.05)

    def _newest(self) -> Path:
        """The file that is appended to."""
        parts = list(self._folder.glob("appendonlydir/*.incr.aof")) or list(self._folder.glob("appendonly.aof"))
        return max(parts, key=lambda path: int((re.findall(r"\d+", path.name) or ["0"])[0]))

    def _watch(self) -> None:
        """Note how long the file is, ten times a second: what was in it a second ago could not have been lost."""
        while not self._is_over.wait(0.1):
            with contextlib.suppress(OSError, ValueError):
                self._sizes.append((time.monotonic(), self._newest().stat().st_size))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgresStoreServer:
    """PostgreSQL as it comes: every commit synced."""

    kind = "postgres"
    durability = "D2"

    def __init__(self) -> None:
        self._server = PostgresServer()
        self._is_up = False
        # Faults overlap, and are healed in threads: the server is started once, and not ended while it starts.
        self._turn = threading.RLock()

    @property
    def place(self) -> Place:
        return Place(path=str(self._server.socket))

    @property
    def url(self) -> str:
        return self._server.url

    def way_in(self, folder: Path) -> Place:
        return Place(path=str(folder / self._server.socket.name))

    def url_at(self, place: Place) -> str:
        return self._server.url_of("postgres", Path(place.path).parent)

    def start(self) -> None:
        with self._turn:
            if not self._is_up:
                self._server.start()
                self._is_up = True

    def stop(self) -> None:
        self._server.close()
        self._is_up = False

    def restart(self) -> None:
        with self._turn:
            self._server.stop()
            self._is_up = False

    def kill(self) -> None:
        with self._turn:
            self._server.kill()
            self._is_up = False

    def lose_second(self) -> None:
        raise AssertionError("this server loses nothing that it has committed")

    def pause(self) -> None:
        with self._turn:
            if self._is_up:
                self._server.pause()

    def heal(self) -> None:
        with self._turn:
            if self._is_up:
                self._server.resume()
            self.start()

    def flush_scripts(self) -> None:
        """End every session, with all that was prepared in it."""
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        with contextlib.suppress(psycopg.Error), self._server.client(connect_timeout=2) as client:
            client.execute(f"{others} AND backend_type = 'client backend'")


def make_store(kind: str, folder: Path, *, is_lossy: bool) -> ChaosStore:
    """Make a store by name: redis, redis-6.2, postgres."""
    if kind == "postgres" and not is_lossy:
        return PostgresStoreServer()
    if kind in {"redis", "redis-8"}:
        return RedisStoreServer(folder, is_lossy=is_lossy)
    if kind == "redis-6.2":
        return RedisStoreServer(folder, is_lossy=is_lossy, release=kind)
    what = f"{kind!r} losing a second" if is_lossy else repr(kind)
    raise ValueError(f"there is no chaos run on {what}; give redis, redis-6.2 or postgres")
