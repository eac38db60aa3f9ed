"""The synchronous way to the servers, for leases: commands in one pipeline for each server, and no retry in secret.

Clients, pipelines and the asking of sentinels are redis-py's. Its cluster client is not used: it repeats commands
whose reply was lost, and a lease would be granted twice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AskError, MovedError, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from tenuto_engine.storage.redis.address import Address, Place
from tenuto_engine.storage.redis.link import is_read_only
from tenuto_engine.storage.redis.nodes import sentinel_arguments
from tenuto_engine.storage.redis.slots import NOT_HERE, SlotMap, place_named, slot_of_command

# A slot on its way is a matter of milliseconds; a renewal that waits longer is better begun anew.
_MAX_SENDINGS = 5
_PAUSE_S = 0.02

Command = tuple[Any, ...]


class Clients(Protocol):
    """Where commands go. One thread at a time."""

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands of one kind and answer their replies in order; a server's error is a reply.

        Raises:
            RedisError, OSError: a server cannot be reached, or broke off; commands may have been executed.
        """
        ...

    def send_to_all(self, command: Command) -> None:
        """Send a command to each server that commands may go to. Raises like `send`."""
        ...

    def close(self) -> None: ...


def open_clients(address: Address, *, timeout_s: float) -> Clients:
    """Make the clients that a URL means; nothing is connected yet."""
    if address.kind == "cluster":
        return _ClusterClients(address, timeout_s=timeout_s)
    client = _connect(address, address.first, timeout_s=timeout_s)
    return _WatchedClient(client) if address.kind == "sentinel" else _OneClient(client)


def _connect(address: Address, place: Place, *, timeout_s: float) -> Any:
    """A client; redis-py's stubs leave much of it unknown."""
    arguments = address.arguments(place, timeout_s=timeout_s) | {
        "socket_timeout": timeout_s,
        # A hidden retry would acquire twice: the first grant's token would be lost at once.
        "retry": Retry(NoBackoff(), 0),
        "max_connections": 1,
    }
    if address.kind == "sentinel":
        asking = sentinel_arguments(address) | {"retry": Retry(NoBackoff(), 0)}
        sentinel: Any = cast("Any", Sentinel)(list(address.places), sentinel_kwargs=asking)
        for name in place._fields:
            del arguments[name]
        client: Any = sentinel.master_for(address.service, **arguments)
        return client
    return cast("Any", Redis)(**arguments)


def _send(client: Any, commands: Sequence[Command]) -> list[Any]:
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        replies = cast("list[Any]", pipeline.execute(raise_on_error=False))
    if any(isinstance(reply, ResponseError) and is_read_only(reply) for reply in replies):
        # Another server is the primary now: a name or Sentinel leads there at the next connect.
        client.connection_pool.disconnect()
    return replies


class _OneClient:
    """One server."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def send(self, commands: Sequence[Command]) -> list[Any]:
        return _send(self._client, commands)

    def send_to_all(self, command: Command) -> None:
        self._client.execute_command(*command)

    def close(self) -> None:
        self._client.close()


class _WatchedClient(_OneClient):
    """The primary that Sentinel names: asked each time, for a former one goes on answering for a while."""

    def send(self, commands: Sequence[Command]) -> list[Any]:
        # It closes the connection if another one is named. Without sentinels the connection that works is kept.
        with suppress(MasterNotFoundError):
            self._client.connection_pool.get_master_address()
        return super().send(commands)


class _ClusterClients:
    """The nodes of a cluster, by where they listen."""

    def __init__(self, address: Address, *, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._clients: dict[Place, Any] = {}
        self._slots = SlotMap()
        self._is_stale = True
        self._suspects: set[Place] = set()

    def send(self, commands: Sequence[Command]) -> list[Any]:
        replies: list[Any] = [None] * len(commands)
        pending = list(range(len(commands)))
        asked: dict[int, Place] = {}
        for number in range(_MAX_SENDINGS):
            if number:
                time.sleep(_PAUSE_S)
            parts: dict[tuple[Place, bool], list[int]] = {}
            for i in pending:
                place = asked.get(i) or self._owner(commands[i])
                parts.setdefault((place, i in asked), []).append(i)
            self._send_parts(commands, parts, replies)
            away = [(place, i) for (place, _), part in parts.items() for i in part if isinstance(replies[i], NOT_HERE)]
            asked = {i: place_named(replies[i], at) for at, i in away if _is_on_its_way(replies[i])}
            for at, i in away:
                if i not in asked:
                    self._heed(at, replies[i])
            pending = sorted(i for _, i in away)
            if not pending:
                break
        return replies

    def send_to_all(self, command: Command) -> None:
        for place in self._slots.owners():
            self._at(place).execute_command(*command)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _send_parts(
        self, commands: Sequence[Command], parts: dict[tuple[Place, bool], list[int]], replies: list[Any]
    ) -> None:
        """Send each part; the fault of one node is raised once the others were served."""
        fault: RedisError | OSError | None = None
        for (place, asking), part in parts.items():
            sent = [commands[i] for i in part]
            try:
                if asking:
                    answers = _send(self._at(place), [each for command in sent for each in (("ASKING",), command)])[
                        1::2
                    ]
                else:
                    answers = _send(self._at(place), sent)
            except (RedisError, OSError) as error:
                self._is_stale = True
                self._suspects.add(place)
                fault = error
                continue
            for i, answer in zip(part, answers, strict=True):
                replies[i] = answer
        if fault is not None:
            raise fault

    def _heed(self, place: Place, error: ResponseError) -> None:
        if isinstance(error, MovedError):
            self._slots.note_moved(error, place)
        self._is_stale = True

    def _at(self, place: Place) -> Any:
        client = self._clients.get(place)
        if client is None:
            client = self._clients[place] = _connect(self._address, place, timeout_s=self._timeout_s)
        return client

    def _owner(self, command: Command) -> Place:
        if self._is_stale:
            self._read_slots()
        slot = slot_of_command(command)
        place = self._slots.owners()[0] if slot is None else self._slots.owner(slot)
        if place is None:
            self._is_stale = True
            raise RedisError(f"no node of the cluster serves slot {slot}; see CLUSTER INFO")
        return place

    def _read_slots(self) -> None:
        known = dict.fromkeys([*self._slots.owners(), *self._clients, *self._address.places])
        fault: RedisError | OSError | None = None
        # Those that did not answer come last: each costs a timeout.
        for place in sorted(known, key=self._suspects.__contains__):
            try:
                (reply,) = _send(self._at(place), [("CLUSTER", "SLOTS")])
            except (RedisError, OSError) as error:
                fault = error
                continue
            if isinstance(reply, RedisError) or not reply:
                fault = reply or RedisError("the node knows no owner of any slot")
                continue
            self._slots.learn(reply, place)
            self._is_stale = False
            self._suspects.clear()
            return
        raise fault or RedisError("the URL names no node")


def _is_on_its_way(reply: Any) -> bool:
    return isinstance(reply, AskError) and not isinstance(reply, MovedError)
