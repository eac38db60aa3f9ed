"""Which operations of a group are sent again, and which must not be, when replies are refusals or missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from redis.exceptions import MovedError, NoScriptError

from tenuto_engine.ports.operations import Append, Operation
from tenuto_engine.ports.outcomes import Appended, Outcome, Rejected, Unconfirmed
from tenuto_engine.ports.records import Message
from tenuto_engine.storage.redis.beliefs import Beliefs
from tenuto_engine.storage.redis.flights import Flights
from tenuto_engine.storage.redis.keys import Keys
from tenuto_engine.storage.redis.link import LinkLost
from tenuto_engine.storage.redis.nodes import Node
from tenuto_engine.storage.redis.requests import Requests


class _Link:
    """Answers one sending after the other with what the test says; `sent` counts the commands of each."""

    ack = None

    def __init__(self, *answers: list[Any] | LinkLost) -> None:
        self._answers = list(answers)
        self.sent: list[int] = []

    async def exchange(self, commands: Sequence[tuple[Any, ...]], **_options: Any) -> list[Any]:
        if commands[0][0] == "SCRIPT":
            return [b"sha"] * len(commands)
        self.sent.append(len(commands))
        answer = self._answers.pop(0)
        if isinstance(answer, LinkLost):
            raise answer
        return answer


class _Node:
    must_load = False

    def __init__(self, link: _Link) -> None:
        self._link = link

    async def borrow(self) -> _Link:
        return self._link

    def give_back(self, link: _Link) -> None:
        assert link is self._link


def _append(shard: int) -> Append:
    return Append(shard, "order-1", Message("id", b"body"))


async def _execute(link: _Link, operations: Sequence[Operation]) -> list[Outcome]:
    keys, beliefs = Keys("tenuto", "shop"), Beliefs()
    flights = Flights(keys, beliefs, Requests(keys, beliefs, window_ms=1_000))
    return cast("list[Outcome]", await flights.execute(cast("Node", _Node(link)), operations))


async def test_what_a_flushed_server_did_not_run_is_sent_again() -> None:
    """Alone of its shard it overtakes nothing, whatever became of the others."""
    link = _Link(LinkLost("gone", [NoScriptError()], not_executed=False), [0])
    answers = await _execute(link, [_append(0), _append(1)])
    assert answers == [Appended(0), Unconfirmed("gone")]
    assert link.sent == [2, 1]


async def test_nothing_is_sent_again_behind_a_later_operation_that_may_have_happened() -> None:
    """The reply to the later one was lost: repeating the earlier one could turn their order round."""
    for refusal in (NoScriptError(), MovedError("1 127.0.0.1:7000")):
        link = _Link(LinkLost("gone", [refusal], not_executed=False), [0])
        first, second = await _execute(link, [_append(0), _append(0)])
        assert isinstance(first, Rejected)
        assert second == Unconfirmed("gone")
        assert link.sent == [2]
