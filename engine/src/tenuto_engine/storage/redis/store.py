"""The state store on Redis or Valkey: one script per operation, a group of operations in one write to each server.

This module joins the parts: what a connection must find (`server`), where a shard is (`nodes`, `cluster`), what is
sent (`flights`). On a cluster a group is parted by node; its parts travel at the same time, and within a shard the
order given is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from tenuto_engine.ports.errors import StoreRefused, StoreUnavailable
from tenuto_engine.ports.operations import Operation
from tenuto_engine.ports.outcomes import Outcome
from tenuto_engine.ports.store import StoreInfo
from tenuto_engine.storage.redis.acks import ReplicaAcks, ack_for
from tenuto_engine.storage.redis.address import Address, Place, parse_address
from tenuto_engine.storage.redis.beliefs import Beliefs
from tenuto_engine.storage.redis.cluster import Cluster
from tenuto_engine.storage.redis.flights import Flights, load_scripts
from tenuto_engine.storage.redis.keys import Keys
from tenuto_engine.storage.redis.link import Link
from tenuto_engine.storage.redis.listing import RedisListing
from tenuto_engine.storage.redis.nodes import Node, SentinelLocator
from tenuto_engine.storage.redis.requests import Requests
from tenuto_engine.storage.redis.server import (
    Demand,
    check_layout,
    inspect,
    refuse_replica,
    refuse_unknown_tier,
)
from tenuto_engine.storage.redis.slots import slot_of_key
from tenuto_engine.storage.redis.spread import Spread


class RedisStore(RedisListing):
    """One app's state in Redis 6.2 or later, or Valkey: a server, a primary under Sentinel, or a cluster.

    Args:
        url: see `address`.
        app: the app's name; key_prefix: the first part of every key.
        dedup_window_ms: how long accepted command ids are remembered; milliseconds. Two minutes are longer than any
            client repeats a command.
        timeout_s: how long the replies of one group may take; seconds. Five, because a rewrite of the append-only
            file can hold a server for a second or two.
        durability_unverified: go on although the server hides its settings.

    Raises:
        StoreRefused: the URL cannot be understood.

    Implements `tenuto_engine.ports.store.Store`.
    """

    def __init__(
        self,
        url: str,
        *,
        app: str,
        key_prefix: str,
        dedup_window_ms: int = 120_000,
        timeout_s: float = 5.0,
        durability_unverified: bool = False,
    ) -> None:
        keys = Keys(key_prefix, app)
        address = parse_address(url)
        self._address = address
        self._timeout_s = timeout_s
        self._locator = SentinelLocator(address) if address.kind == "sentinel" else None
        self._single: Node | None = None
        self._cluster: Cluster | None = None
        beliefs = Beliefs()
        if address.kind == "cluster":
            self._cluster = Cluster(address.places, self._make_node, patience_s=timeout_s)
            super().__init__(keys, self._cluster, beliefs)
        else:
            self._single = self._make_node(address.first)
            super().__init__(keys, self._single.readers, beliefs)
        self._flights = Flights(keys, beliefs, Requests(keys, beliefs, window_ms=dedup_window_ms))
        self._may_hide = durability_unverified
        self._demand: Demand | None = None
        self._slots: dict[int, int] = {}

    def _make_node(self, place: Place) -> Node:
        return Node(
            self._address,
            place,
            timeout_s=self._timeout_s,
            locate=self._locator,
            prepare=self._prepare,
            # In a cluster, a replica says by itself where the keys are.
            prepare_read=None if self._address.kind == "cluster" else _prepare_read,
        )

    @property
    def replica_acks(self) -> ReplicaAcks:
        """How many groups were confirmed by the replicas waited for, and how many were not."""
        return self._flights.acks

    async def open(self, *, shards: int, durability: str) -> StoreInfo:
        """Connect, check or write the layout record, check shard count and durability. See the port."""
        refuse_unknown_tier(durability)
        self._demand = Demand(
            shards,
            durability,
            self._may_hide,
            is_cluster=self._cluster is not None,
            wait_replicas=self._address.wait_replicas,
        )
        self._flights.waits_for_replicas = self._demand.replicas > 0
        nodes = [self._single] if self._single is not None else await self._owners()
        for node in nodes:
            await node.check()
        servers = [node.server for node in nodes if node.server is not None]
        if len(servers) < len(nodes):
            raise StoreUnavailable("the store was closed while it was opened")
        return StoreInfo(
            description=_describe(self._address, servers[0].version, len(servers)),
            durability=durability,
            verified=all(server.is_verified for server in servers),
            exclusive=False,
        )

    async def _owners(self) -> list[Node]:
        assert self._cluster is not None
        return await self._cluster.owners()

    async def close(self) -> None:
        if self._single is not None:
            await self._single.close()
        if self._cluster is not None:
            await self._cluster.close()
        if self._locator is not None:
            await self._locator.close()

    def incarnation(self) -> str:
        """The server's run id and replication id at the last connect; empty before the first.

        Another value than before means that the server restarted or failed over, and may have lost writes: drop all
        memory and leases, and acquire anew. A change of one node of a cluster is given as a change of the whole.
        """
        if self._cluster is not None:
            return f"cluster {self._cluster.changes}"
        assert self._single is not None
        return self._single.server.incarnation if self._single.server is not None else ""

    async def recheck(self) -> None:
        for node in [self._single] if self._single is not None else await self._owners():
            node.expire()
            await node.check()

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Execute a group in order; answer each. See the port."""
        if not operations:
            return []
        if self._cluster is not None:
            return await Spread(self._cluster, self._flights, operations, slot_of=self._slot_of).run()
        assert self._single is not None
        # A single server never sends anybody elsewhere.
        return cast("list[Outcome]", await self._flights.execute(self._single, operations))

    def _slot_of(self, shard: int) -> int:
        slot = self._slots.get(shard)
        if slot is None:
            slot = self._slots[shard] = slot_of_key(self._keys[shard].base)
        return slot

    async def _prepare(self, node: Node, link: Link) -> None:
        if self._demand is None:
            raise StoreRefused("the store is not open; call open() first")
        ask = link.exchange_unprepared
        server = await inspect(ask, self._demand)
        await check_layout(ask, self._keys.layout, self._demand)
        await load_scripts(node, ask)
        link.ack = ack_for(self._demand, server, wait_ms=self._address.wait_ms, timeout_s=self._timeout_s)
        if node.accept(server, link) and self._cluster is not None:
            self._cluster.changes += 1


async def _prepare_read(link: Link) -> None:
    await refuse_replica(link.exchange_unprepared)


def _describe(address: Address, version: str, nodes: int) -> str:
    match address.kind:
        case "cluster":
            return f"{version}, cluster of {nodes}"
        case "sentinel":
            return f"{version}, under Sentinel"
        case "server":
            return version
