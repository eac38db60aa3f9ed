"""A group of operations on a cluster: parted by node, sent at the same time, put together in the order given.

Parts that a node refuses because a slot moved are sent again, as long as the caller may reasonably wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tenuto_engine.ports.errors import StoreRefused, StoreUnavailable
from tenuto_engine.ports.operations import Operation
from tenuto_engine.ports.outcomes import Outcome, Rejected, Unconfirmed
from tenuto_engine.storage.redis.cluster import Cluster, Patience
from tenuto_engine.storage.redis.flights import Answer, Flights, NotHere
from tenuto_engine.storage.redis.nodes import Node

_ERROR = Rejected("")


def _settle(answers: Sequence[Answer]) -> list[Outcome]:
    """Answers as outcomes: what no node executed was rejected."""
    return [
        Rejected(f"no node serves the shard now: {answer.error}") if isinstance(answer, NotHere) else answer
        for answer in answers
    ]


class Spread:
    """One group on its way. `slot_of`: the slot of a shard."""

    def __init__(
        self, cluster: Cluster, flights: Flights, operations: Sequence[Operation], *, slot_of: Callable[[int], int]
    ) -> None:
        self._cluster = cluster
        self._flights = flights
        self._operations = operations
        self._slot_of = slot_of
        self._answers: list[Answer] = [_ERROR] * len(operations)
        # The node to which a shard is on its way, for one sending.
        self._asked: dict[int, Node] = {}

    async def run(self) -> list[Outcome]:
        pending = list(range(len(self._operations)))
        patience = Patience(self._cluster.patience_s)
        while pending:
            parts = await self._part(pending)
            sent = [self._fly(node, part, asking=asking) for (node, asking), part in parts.items()]
            away = [i for part in await asyncio.gather(*sent) for i in part]
            if not away or patience.is_over:
                break
            pending = sorted(away)
            await patience.rest()
        return _settle(self._answers)

    async def _part(self, pending: list[int]) -> dict[tuple[Node, bool], list[int]]:
        """The operations for each node, in order; `True` where a shard is still on its way to it."""
        parts: dict[tuple[Node, bool], list[int]] = {}
        asked, self._asked = self._asked, {}
        for i in pending:
            shard = self._operations[i].shard
            to = asked.get(shard)
            try:
                node = to or await self._cluster.owner(self._slot_of(shard))
            except (StoreUnavailable, StoreRefused) as fault:
                self._answers[i] = Rejected(str(fault))
                continue
            parts.setdefault((node, to is not None), []).append(i)
        return parts

    async def _fly(self, node: Node, part: list[int], *, asking: bool) -> list[int]:
        """Send a part; answer which of it were not executed because they belong elsewhere."""
        answers = await self._flights.execute(node, [self._operations[i] for i in part], asking=asking)
        away: list[int] = []
        for i, answer in zip(part, answers, strict=True):
            self._answers[i] = answer
            if isinstance(answer, NotHere):
                away.append(i)
                self._heed(node, self._operations[i].shard, answer)
            elif isinstance(answer, Unconfirmed | Rejected):
                self._cluster.doubt(node)
        return away

    def _heed(self, node: Node, shard: int, answer: NotHere) -> None:
        elsewhere = self._cluster.heed(node, answer.error)
        if elsewhere is not None:
            self._asked.setdefault(shard, elsewhere)
