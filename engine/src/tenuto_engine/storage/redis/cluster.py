"""A cluster as the store uses it: which node has which shard, and what to do when a node says that it has not.

A node that does not serve a slot executes nothing and says so, therefore such a command may always be sent again; how
the order of a shard's operations is kept then is the business of `store`. The map of slots is read anew when a node
contradicts it or cannot be reached.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import AskError, MovedError, ResponseError

from tenuto_engine.ports.errors import StoreRefused, StoreUnavailable
from tenuto_engine.storage.redis.address import Place
from tenuto_engine.storage.redis.link import LinkNotReady, LinkPool, Reply, refuse_errors
from tenuto_engine.storage.redis.nodes import Node
from tenuto_engine.storage.redis.slots import NOT_HERE, SlotMap, place_named, slot_of_command

# A slot on its way is a matter of milliseconds; the pauses grow to the longest, so that a long one costs little.
_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.1


class Patience:
    """How long one caller goes on asking while slots move: pauses that grow, until a deadline."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._pause = _FIRST_PAUSE_S

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end

    async def rest(self) -> None:
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)


class Cluster:
    """The nodes of one cluster, by where they listen.

    Args:
        seeds: where to begin.
        make: a node at a place, not connected yet.
        patience_s: how long reads follow a slot that moves; seconds.

    `changes` rises whenever writes may have been lost: a known node answers as another server, or a slot passed to
    another node without its former owner, as it does when a replica is promoted. A slot that migrates between two
    living nodes loses nothing.
    """

    def __init__(self, seeds: Sequence[Place], make: Callable[[Place], Node], *, patience_s: float) -> None:
        self._seeds = tuple(seeds)
        self._make = make
        self._nodes: dict[Place, Node] = {}
        self._slots = SlotMap()
        self._used: dict[int, Place] = {}
        self._is_stale = True
        self._suspects: set[Place] = set()
        self._is_closed = False
        self._reading_map = asyncio.Lock()
        self.patience_s = patience_s
        self.changes = 0

    @property
    def nodes(self) -> list[Node]:
        return list(self._nodes.values())

    def at(self, place: Place) -> Node:
        """The node that listens there."""
        if self._is_closed:
            raise LinkNotReady("the store is closed")
        node = self._nodes.get(place)
        if node is None:
            node = self._nodes[place] = self._make(place)
        return node

    async def owners(self) -> list[Node]:
        """All nodes that serve slots. Raises StoreUnavailable, StoreRefused."""
        await self._know_slots()
        return [self.at(place) for place in self._slots.owners()]

    async def owner(self, slot: int | None) -> Node:
        """The node that serves a slot, or any for None. Raises StoreUnavailable where there is none."""
        if self._is_stale:
            await self._know_slots()
        if slot is None:
            return self.at(self._slots.owners()[0])
        place = self._slots.owner(slot)
        if place is None:
            self._is_stale = True
            raise LinkNotReady(f"no node of the cluster serves slot {slot}; see CLUSTER INFO")
        self._used[slot] = place
        return self.at(place)

    def doubt(self, node: Node) -> None:
        """Read the map before it is used again, and not from this node if possible: it did not answer."""
        self._is_stale = True
        self._suspects.add(node.place)

    def heed(self, node: Node, error: ResponseError) -> Node | None:
        """Learn from what `node` said instead of an answer; answer where to send that one command, if it said so."""
        if isinstance(error, MovedError):
            self._slots.note_moved(error, node.place)
            self._is_stale = True
            return None
        if isinstance(error, AskError):
            return self.at(place_named(error, node.place))
        self._is_stale = True
        return None

    async def ask(self, *commands: tuple[Any, ...]) -> list[Reply]:
        """Answer reads, each from the node that has its key. Raises StoreUnavailable."""
        replies: list[Reply] = [None] * len(commands)
        pending = list(range(len(commands)))
        # Nodes to which the slot of a command is on its way, for one sending.
        sent_to: dict[int, Node] = {}
        patience = Patience(self.patience_s)
        while True:
            parts: dict[tuple[Node, bool], list[int]] = {}
            for i in pending:
                node = sent_to.get(i) or await self.owner(slot_of_command(commands[i]))
                parts.setdefault((node, i in sent_to), []).append(i)
            await self._ask_nodes(commands, parts, replies)
            away = [(node, i) for (node, _), part in parts.items() for i in part if isinstance(replies[i], NOT_HERE)]
            if not away or patience.is_over:
                return refuse_errors(replies)
            heeded = {i: self.heed(node, replies[i]) for node, i in away}
            sent_to = {i: node for i, node in heeded.items() if node is not None}
            pending = sorted(heeded)
            await patience.rest()

    async def parts(self) -> list[LinkPool]:
        """The links to each node that serves slots. Raises StoreUnavailable, StoreRefused."""
        return [node.readers for node in await self.owners()]

    async def _ask_nodes(
        self,
        commands: Sequence[tuple[Any, ...]],
        parts: dict[tuple[Node, bool], list[int]],
        replies: list[Reply],
    ) -> None:
        """Send each part to its node, all at the same time, and put the replies in their places."""
        asked = [self._ask_node(node, [commands[i] for i in part], asking) for (node, asking), part in parts.items()]
        for part, answers in zip(parts.values(), await asyncio.gather(*asked, return_exceptions=True), strict=True):
            if isinstance(answers, BaseException):
                raise answers
            for i, answer in zip(part, answers, strict=True):
                replies[i] = answer

    async def _ask_node(self, node: Node, commands: Sequence[tuple[Any, ...]], asking: bool) -> list[Reply]:
        try:
            return await node.readers.exchange(commands, asking=asking)
        except StoreUnavailable:
            self.doubt(node)
            raise

    async def _know_slots(self) -> None:
        async with self._reading_map:
            if not self._is_stale:
                return
            known = dict.fromkeys([*self._slots.owners(), *self._nodes, *self._seeds])
            fault: StoreUnavailable | None = None
            # Those that did not answer come last: each costs a timeout.
            for place in sorted(known, key=self._suspects.__contains__):
                try:
                    (reply,) = await self.at(place).readers.exchange([("CLUSTER", "SLOTS")])
                except StoreUnavailable as error:
                    fault = error
                    continue
                if isinstance(reply, ResponseError):
                    _refuse_single(reply)
                    fault = LinkNotReady(f"the node at {place.host}:{place.port} tells no slots: {reply}")
                    continue
                if reply:
                    self._learn(reply, place)
                    return
                fault = LinkNotReady(f"the node at {place.host}:{place.port} knows no owner of any slot")
            raise LinkNotReady(f"no node of the cluster answers: {fault}") from fault

    def _learn(self, reply: list[Any], asked: Place) -> None:
        self._slots.learn(reply, asked)
        owners = set(self._slots.owners())
        moved = {slot for slot, place in self._used.items() if place != self._slots.owner(slot)}
        if any(self._used[slot] not in owners for slot in moved):
            self.changes += 1
        for slot in moved:
            del self._used[slot]
        self._suspects.clear()
        self._is_stale = False

    async def close(self) -> None:
        self._is_closed = True
        for node in self.nodes:
            await node.close()


def _refuse_single(error: ResponseError) -> None:
    if "cluster support disabled" in str(error):
        raise StoreRefused("the state store's URL leads to no cluster; write redis://host:port") from error
