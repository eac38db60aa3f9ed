"""Operations that go to one server together: sent as one write, answered one by one, sent again where nothing happened.

This module decides what is sent again. A script that answers NOSCRIPT or "again" has changed nothing, and a node that
does not serve a slot has not run it; it is repeated only where that keeps the order of operations that the caller gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from redis.exceptions import NoScriptError, ResponseError

from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.ports.errors import StoreRefused, StoreUnavailable
from tenuto_engine.ports.operations import Create, Deliver, Operation, Purge
from tenuto_engine.ports.outcomes import Outcome, Rejected, Unconfirmed
from tenuto_engine.ports.records import NewInstance
from tenuto_engine.storage.redis import scripts
from tenuto_engine.storage.redis.acks import ReplicaAcks
from tenuto_engine.storage.redis.answers import FENCED, Again, read_outcome
from tenuto_engine.storage.redis.beliefs import Beliefs
from tenuto_engine.storage.redis.keys import Keys, read_metadata
from tenuto_engine.storage.redis.link import Link, LinkLost, Reply
from tenuto_engine.storage.redis.nodes import Node
from tenuto_engine.storage.redis.requests import Requests
from tenuto_engine.storage.redis.server import Ask
from tenuto_engine.storage.redis.slots import NOT_HERE

# How often one operation is sent because a belief was wrong or the scripts were flushed. Twice is the worst seen
# without another engine at work on the same instance; the rest is room.
_MAX_ROUNDS = 5


class NotHere(msgspec.Struct, frozen=True):
    """The node does not serve this shard now, or not all of it: nothing was executed."""

    error: ResponseError


Answer = Outcome | NotHere
_ERROR = Rejected("")
_NOT_EXECUTED = (NoScriptError, *NOT_HERE)


class Flights:
    """Executes operations on one node. `acks` counts the groups whose confirmation was waited for.

    `waits_for_replicas`: whether links have something to end groups with.
    """

    def __init__(self, keys: Keys, beliefs: Beliefs, requests: Requests) -> None:
        self.keys = keys
        self.beliefs = beliefs
        self.build = requests.build
        self.acks = ReplicaAcks()
        self.waits_for_replicas = False

    async def execute(self, node: Node, operations: Sequence[Operation], *, asking: bool = False) -> list[Answer]:
        """Execute operations in order. `asking`: their shards are on their way to this node."""
        answers: list[Answer] = []
        link = await node.borrow()
        try:
            for group in _split(operations):
                away = next((answer for answer in answers if isinstance(answer, NotHere)), None)
                if away is None:
                    answers += await _Flight(self, node, link, group, asking=asking).run()
                else:
                    # Sent now, they could overtake an operation that waits.
                    answers += [away] * len(group)
        finally:
            node.give_back(link)
        return answers


async def load_scripts(node: Node, ask: Ask) -> None:
    """Make the scripts known to a server. Raises StoreUnavailable."""
    for reply in await ask([("SCRIPT", "LOAD", script.source) for script in scripts.OPERATIONS]):
        if isinstance(reply, ResponseError):
            raise StoreUnavailable(f"the scripts cannot be loaded: {reply}") from reply
    node.must_load = False


class _Flight:
    """Operations of one group that need nothing to be read in between."""

    def __init__(
        self, owner: Flights, node: Node, link: Link, operations: Sequence[Operation], *, asking: bool
    ) -> None:
        self._owner = owner
        self._node = node
        self._link = link
        self._operations = operations
        self._asking = asking
        self._answers: list[Answer] = [_ERROR] * len(operations)

    async def run(self) -> list[Answer]:
        answers = self._answers
        pending = list(range(len(self._operations)))
        try:
            await self._learn_former()
            for _ in range(_MAX_ROUNDS):
                if self._node.must_load:
                    await load_scripts(self._node, self._link.exchange)
                pending = await self._send(pending)
                if not pending:
                    return answers
        except (StoreUnavailable, StoreRefused) as fault:
            # Raised before any pending operation was sent in this round.
            for i in pending:
                answers[i] = Rejected(str(fault))
            return answers
        for i in pending:
            answers[i] = Rejected("other engines keep changing the version of this instance; try again")
        return answers

    async def _send(self, pending: list[int]) -> list[int]:
        """Send the pending operations once; note their answers; return which are to be sent again."""
        build, operations, answers = self._owner.build, self._operations, self._answers
        commands = [build(operations[i]) for i in pending]
        replies, lack = await self._exchange_confirmed(commands, pending)
        again: list[int] = []
        unsent: list[int] = []
        is_flushed = False
        for i, reply in zip(pending, replies, strict=False):
            if isinstance(reply, _NOT_EXECUTED):
                unsent.append(i)
                if isinstance(reply, NoScriptError):
                    is_flushed = True
                else:
                    answers[i] = NotHere(reply)
                continue
            outcome = read_outcome(operations[i], reply)
            if isinstance(outcome, Again):
                self._correct(outcome)
                again.append(i)
            elif lack and not isinstance(outcome, Rejected):
                # Also what was refused: it was judged by a state that may not last.
                answers[i] = Unconfirmed(lack)
            else:
                answers[i] = outcome
                if outcome is FENCED:
                    # A lease is gone as after FLUSHALL: the layout record may be, too.
                    self._link.expire()
        if not unsent:
            return again
        self._node.must_load = self._node.must_load or is_flushed
        return self._sort_out(pending, unsent, again)

    async def _exchange_confirmed(self, commands: list[tuple[Any, ...]], pending: list[int]) -> tuple[list[Reply], str]:
        """Send; answer the replies, and what the confirmation lacks. Operations without a reply get their answers."""
        link = self._link
        try:
            mark = None
            if self._owner.waits_for_replicas:
                mark = ("SET", self._owner.keys[self._operations[pending[0]].shard].confirmed, "1")
            replies = await link.exchange(commands, mark=mark, asking=self._asking)
        except LinkLost as lost:
            answered = min(len(lost.replies), len(pending))
            for position, i in enumerate(pending[answered:]):
                is_refused = position == 0 and lost.not_executed
                self._answers[i] = Rejected(str(lost)) if is_refused else Unconfirmed(str(lost))
            return lost.replies[:answered], "" if link.ack is None else str(lost)
        if link.ack is None:
            return replies, ""
        count = len(commands)
        lack = link.ack.shortage(replies[count], replies[count + 1 :])
        if lack:
            self._owner.acks.short += 1
            # Which replicas there are is looked at again before the next group.
            link.expire()
        else:
            self._owner.acks.ok += 1
        return replies[:count], lack

    def _sort_out(self, sent: list[int], unsent: list[int], again: list[int]) -> list[int]:
        """Of what was not executed, return what may be sent again here; the rest is rejected or to go elsewhere.

        Where a later operation of the same shard was executed, or may have been, for its reply is missing, repeating
        the earlier one would turn their order round.
        """
        operations, answers = self._operations, self._answers
        last_executed = {operations[i].shard: i for i in sent if i not in unsent}
        away: dict[int, NotHere] = {}
        for i in unsent:
            answer = answers[i]
            if last_executed.get(operations[i].shard, -1) > i:
                answers[i] = Rejected("a later operation of this shard went first; try again")
            elif isinstance(answer, NotHere):
                away.setdefault(operations[i].shard, answer)
            else:
                again.append(i)
        again.sort()
        for i in again:
            if operations[i].shard in away:
                answers[i] = away[operations[i].shard]
        return [i for i in again if operations[i].shard not in away]

    def _correct(self, again: Again) -> None:
        beliefs = self._owner.beliefs
        for instance_id, version, name in again.corrections:
            if name:
                beliefs.note_former(instance_id, version, name)
            else:
                beliefs.note_version(instance_id, version)

    async def _learn_former(self) -> None:
        """Read version and name of what is to be removed, for they are part of the names of keys."""
        wanted = [
            (operation.shard, instance_id, of)
            for operation in self._operations
            for instance_id, of in _removed_by(operation).items()
        ]
        if not wanted:
            return
        keys, beliefs = self._owner.keys, self._owner.beliefs
        commands = [("HMGET", keys[shard].instance(i), "metadata", "index") for shard, i, _ in wanted]
        replies: list[Any] = await self._link.exchange(commands, asking=self._asking)
        for (_, instance_id, statuses), reply in zip(wanted, replies, strict=True):
            if isinstance(reply, ResponseError) or reply[0] is None or reply[1] is None:
                continue
            head, _ = read_metadata(reply[0])
            beliefs.note_former(instance_id, head.version, reply[1].partition(b" ")[2].decode())
            if head.status in statuses:
                beliefs.expect_removal(instance_id)


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
