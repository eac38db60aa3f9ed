"""The state store on Redis or Valkey: one script per operation, a group of operations in one write.

This module decides what is sent again. A script that answers NOSCRIPT or "again" has changed nothing; it is repeated
only where that keeps the order of operations that the caller gave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.ports.errors import StoreRefused, StoreUnavailable
from tenuto_engine.ports.operations import Create, Deliver, Operation, Purge
from tenuto_engine.ports.outcomes import Outcome, Rejected, Unconfirmed
from tenuto_engine.ports.records import NewInstance
from tenuto_engine.ports.store import StoreInfo
from tenuto_engine.storage.redis import scripts
from tenuto_engine.storage.redis.answers import Again, read_outcome
from tenuto_engine.storage.redis.beliefs import Beliefs
from tenuto_engine.storage.redis.keys import Keys, read_metadata
from tenuto_engine.storage.redis.link import Link, LinkLost, LinkPool
from tenuto_engine.storage.redis.listing import RedisListing
from tenuto_engine.storage.redis.requests import Requests
from tenuto_engine.storage.redis.server import Ask, Demand, Server, check_layout, inspect, refuse_unknown_tier

# How often one operation is sent because a belief was wrong or the scripts were flushed. Twice is the worst seen
# without another engine at work on the same instance; the rest is room.
_MAX_ROUNDS = 5
# Two keep the server busy while the engine digests answers; more would only make smaller groups.
_WRITERS = 2
_ERROR = Rejected("")


class RedisStore(RedisListing):
    """One app's state in Redis 6.2 or later, or Valkey.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user, password and database where needed.
        app: the app's name; key_prefix: the first part of every key.
        dedup_window_ms: how long accepted command ids are remembered; milliseconds. Two minutes are longer than any
            client repeats a command.
        timeout_s: how long the replies of one group may take; seconds. Five, because a rewrite of the append-only
            file can hold a server for a second or two.
        durability_unverified: go on although the server hides its settings.

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
        super().__init__(keys, LinkPool(url, timeout_s=timeout_s), Beliefs())
        self._requests = Requests(keys, self._beliefs, window_ms=dedup_window_ms)
        # Groups of different shards may be under way together, each on a connection of its own.
        self._writers = [Link(url, timeout_s=timeout_s, prepare=self._prepare) for _ in range(_WRITERS)]
        self._idle = list(self._writers)
        self._free = asyncio.Semaphore(_WRITERS)
        self._may_hide = durability_unverified
        self._demand: Demand | None = None
        self._server: Server | None = None
        self._must_load = False

    async def open(self, *, shards: int, durability: str) -> StoreInfo:
        """Connect, check or write the layout record, check shard count and durability. See the port."""
        refuse_unknown_tier(durability)
        self._demand = Demand(shards, durability, self._may_hide)
        await self._writers[0].exchange([("PING",)])
        if self._server is None:
            raise StoreUnavailable("the store was closed while it was opened")
        return StoreInfo(
            description=f"Redis {self._server.version}",
            durability=durability,
            verified=self._server.is_verified,
            exclusive=False,
        )

    async def close(self) -> None:
        for link in self._writers:
            await link.close()
        await self._links.close()

    def incarnation(self) -> str:
        """The server's run id and replication id at the last connect; empty before the first.

        Another value than before means that the server restarted or failed over, and may have lost writes: drop all
        memory and leases, and acquire anew.
        """
        return self._server.incarnation if self._server is not None else ""

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Execute a group in order; answer each. See the port."""
        outcomes: list[Outcome] = []
        if not operations:
            return outcomes
        async with self._free:
            link = self._idle.pop()
            try:
                for flight in _split(operations):
                    outcomes += await self._fly(link, flight)
            finally:
                self._idle.append(link)
        return outcomes

    async def _prepare(self, link: Link) -> None:
        if self._demand is None:
            raise StoreRefused("the store is not open; call open() first")
        ask = link.exchange_unprepared
        server = await inspect(ask, self._demand)
        await check_layout(ask, self._keys.layout, self._demand)
        await self._load_scripts(ask)
        self._server = server

    async def _fly(self, link: Link, operations: Sequence[Operation]) -> list[Outcome]:
        """Execute operations that need nothing to be read in between."""
        outcomes: list[Outcome] = [_ERROR] * len(operations)
        pending = list(range(len(operations)))
        try:
            await self._learn_former(link, operations)
            for _ in range(_MAX_ROUNDS):
                if self._must_load:
                    await self._load_scripts(link.exchange)
                pending = await self._send(link, operations, pending, outcomes)
                if not pending:
                    return outcomes
        except (StoreUnavailable, StoreRefused) as fault:
            # Raised before any pending operation was sent in this round.
            for i in pending:
                outcomes[i] = Rejected(str(fault))
            return outcomes
        for i in pending:
            outcomes[i] = Rejected("other engines keep changing the version of this instance; try again")
        return outcomes

    async def _send(
        self, link: Link, operations: Sequence[Operation], pending: list[int], outcomes: list[Outcome]
    ) -> list[int]:
        """Send the pending operations once; write their outcomes; answer which are to be sent again."""
        build = self._requests.build
        try:
            replies = await link.exchange([build(operations[i]) for i in pending])
        except LinkLost as lost:
            replies = lost.replies
            answered = len(replies)
            for position, i in enumerate(pending[answered:]):
                is_refused = position == 0 and lost.not_executed
                outcomes[i] = Rejected(str(lost)) if is_refused else Unconfirmed(str(lost))
            pending = pending[:answered]
        again: list[int] = []
        flushed: list[int] = []
        for i, reply in zip(pending, replies, strict=True):
            if isinstance(reply, NoScriptError):
                flushed.append(i)
                continue
            outcome = read_outcome(operations[i], reply)
            if isinstance(outcome, Again):
                self._correct(outcome)
                again.append(i)
            else:
                outcomes[i] = outcome
        if flushed:
            self._must_load = True
            again = sorted(again + _in_order(operations, pending, flushed, outcomes))
        return again

    async def _load_scripts(self, ask: Ask) -> None:
        for reply in await ask([("SCRIPT", "LOAD", script.source) for script in scripts.OPERATIONS]):
            if isinstance(reply, ResponseError):
                raise StoreUnavailable(f"the scripts cannot be loaded: {reply}") from reply
        self._must_load = False

    def _correct(self, again: Again) -> None:
        for instance_id, version, name in again.corrections:
            if name:
                self._beliefs.note_former(instance_id, version, name)
            else:
                self._beliefs.note_version(instance_id, version)

    async def _learn_former(self, link: Link, operations: Sequence[Operation]) -> None:
        """Read version and name of what is to be removed, for they are part of the names of keys."""
        wanted = [(op.shard, instance_id, of) for op in operations for instance_id, of in _removed_by(op).items()]
        if not wanted:
            return
        commands = [("HMGET", self._keys[shard].instance(i), "metadata", "index") for shard, i, _ in wanted]
        replies: list[Any] = await link.exchange(commands)
        for (_, instance_id, statuses), reply in zip(wanted, replies, strict=True):
            if isinstance(reply, ResponseError) or reply[0] is None or reply[1] is None:
                continue
            head, _ = read_metadata(reply[0])
            self._beliefs.note_former(instance_id, head.version, reply[1].partition(b" ")[2].decode())
            if head.status in statuses:
                self._beliefs.expect_removal(instance_id)


_NOTHING: Mapping[str, frozenset[Status]] = {}


def _replaced_by(creates: Iterable[NewInstance]) -> Mapping[str, frozenset[Status]]:
    return {new.instance_id: new.replace for new in creates if new.replace}


def _removed_by(operation: Operation) -> Mapping[str, frozenset[Status]]:
    """The instances that an operation may remove, each with the statuses in which it does."""
    match operation:
        case Purge():
            return {operation.instance_id: TERMINAL}
        case Create() if operation.instance.replace:
            return _replaced_by([operation.instance])
        case Deliver():
            return _replaced_by(delivery.create for delivery in operation.deliveries if delivery.create is not None)
        case _:
            return _NOTHING


def _split(operations: Sequence[Operation]) -> list[Sequence[Operation]]:
    """Cut a group before an operation that removes what an earlier one of the group may have made or changed.

    What such an operation needs to know is read before its part is sent. A run of purges stays together.
    """
    flights: list[Sequence[Operation]] = []
    first = 0
    removed: set[str] = set()
    for i, operation in enumerate(operations):
        ids = _removed_by(operation)
        if ids and i > first and (len(removed) < i - first or not removed.isdisjoint(ids)):
            flights.append(operations[first:i])
            first, removed = i, set[str]()
        removed.update(ids)
    flights.append(operations[first:])
    return flights


def _in_order(
    operations: Sequence[Operation], sent: list[int], flushed: list[int], outcomes: list[Outcome]
) -> list[int]:
    """Of those that met flushed scripts, answer which may be sent again; the others are rejected.

    Where another engine loaded the scripts in between, a later operation of the same shard was executed; repeating
    the earlier one now would turn their order round.
    """
    last_executed = {operations[i].shard: i for i in sent if i not in flushed}
    repeated: list[int] = []
    for i in flushed:
        if last_executed.get(operations[i].shard, -1) < i:
            repeated.append(i)
        else:
            outcomes[i] = Rejected("the store's scripts were flushed, and a later operation went first; try again")
    return repeated
