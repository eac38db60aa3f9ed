"""Several Redis servers that belong together: a primary with replicas and sentinels, and a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from servers import NEWEST_REDIS, RedisServer, free_port, wait_until

SLOTS = 16_384


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

    def owner(self, slot: int) -> RedisServer:
        """The node that serves a slot, as the nodes alive see it."""
        for node in self.nodes:
            with suppress(redis.RedisError, OSError):
                for first, last, primary, *_ in node.ask("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return next(each for each in self.nodes if each.port == primary[1])
        raise AssertionError(f"no node serves slot {slot}")

    def migrate(self, slot: int, target: RedisServer, *, count: int = 1_000) -> None:
        """Move a slot to another node, as resharding tools do: key by key, while it is in use."""
        source = self.owner(slot)
        self.begin_migration(slot, source, target)
        self.move_keys(slot, source, target, count=count)
        self.end_migration(slot, target)

    @staticmethod
    def begin_migration(slot: int, source: RedisServer, target: RedisServer) -> None:
        """From here on the source sends those to the target who ask for what it does not have."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID"))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID"))

    @staticmethod
    def move_keys(slot: int, source: RedisServer, target: RedisServer, *, count: int = 1_000) -> None:
        """Move all keys of the slot, `count` at a time."""
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, count):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)

    def end_migration(self, slot: int, target: RedisServer) -> None:
        """Give the slot to the target; the others hear of it from one another."""
        owner = target.ask("CLUSTER", "MYID")
        for node in [target, *(each for each in self.primaries if each is not target)]:
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", owner)

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
        wait_until(lambda: all(map(_is_in_step, self.nodes[3:])), "the replicas are in step")

    def __exit__(self, *_exc: object) -> None:
        for node in self.nodes:
            node.kill()


def _is_in_step(replica: RedisServer) -> bool:
    return bool(replica.info("replication")["master_link_status"] == "up")


def _is_whole(node: RedisServer) -> bool:
    return b"cluster_state:ok" in node.ask("CLUSTER", "INFO") and len(node.ask("CLUSTER", "SLOTS")) == 3
