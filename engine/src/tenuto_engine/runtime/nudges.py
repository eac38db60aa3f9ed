"""News between engines: what was stored for a shard that another engine owns, who came or went, what may be cancelled.

Nothing depends on a nudge: it only saves its receiver the wait for the next sweep (see `ports.notifier`). Nudges that
arise together leave as one for each topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec
import structlog

from tenuto_engine.ports.notifier import Notifier
from tenuto_engine.ports.operations import Append, Create, Deliver, Operation, ReplaceActivity
from tenuto_engine.ports.outcomes import Appended, Created, Delivered, Done, Outcome
from tenuto_engine.ports.records import NEVER_MS, ActivityKey

_log = structlog.get_logger(__name__)

MEMBERS = "members"
# A nudge tells of so many things at most; what it leaves out is found by the sweep.
_MOST_TOGETHER = 500


class News(msgspec.Struct, array_like=True, frozen=True, omit_defaults=True):
    """What one nudge says; another release may add fields at the end.

    `instances`: (instance id, number of the message) of a shard; the number is -1 where only something changed.
    `calls`: activity entries of a shard that changed or are wanted by nobody. `released`: shards without an owner.
    `cancelled`: (completion token, reason) of activities nobody waits for any more. `spilled`: calls wait in the
    spill list.
    `names`: of the activities that wait there, for engines whose workers do not say what they have.
    `watch`: (instance id, engine id) wants to hear of progress; `progress`: instances that moved on.
    """

    instances: Sequence[tuple[str, int]] = ()
    calls: Sequence[ActivityKey] = ()
    released: Sequence[int] = ()
    cancelled: Sequence[tuple[str, str]] = ()
    spilled: bool = False
    watch: Sequence[tuple[str, str]] = ()
    progress: Sequence[str] = ()
    names: Sequence[str] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(News)


def shard_topic(shard: int) -> str:
    """The topic that the owner of a shard listens to."""
    return f"shard:{shard}"


def engine_topic(engine_id: str) -> str:
    """The topic of one engine."""
    return f"engine:{engine_id}"


def spill_topic(version: str) -> str:
    """The topic of engines that could run activities of this version."""
    return f"spill:{version}"


class Nudges:
    """Sends and receives news. `owns`: whether a shard is this engine's, and needs no nudge."""

    def __init__(self, notifier: Notifier, engine_id: str) -> None:
        self._notifier = notifier
        self._mine = engine_topic(engine_id)
        self._waiting: dict[str, dict[str, list[object]]] = {}
        self._on: dict[str, Callable[[News], None]] = {}
        self.owns: Callable[[int], bool] = lambda _: True
        self.is_alone: Callable[[], bool] = lambda: False
        self.on_shard: Callable[[int, News], None] = lambda _shard, _news: None

    async def run(self) -> None:
        """Receive until cancelled."""
        await self._notifier.run(self._received)

    def on(self, topic: str, take: Callable[[News], None]) -> None:
        """Listen to a topic that is not a shard's."""
        self._on[topic] = take
        self._notifier.listen([topic])

    def on_mine(self, take: Callable[[News], None]) -> None:
        """Listen to what is sent to this engine alone."""
        self.on(self._mine, take)

    def follow(self, shards: Iterable[int]) -> None:
        """Listen for these shards: this engine owns them now."""
        self._notifier.listen(map(shard_topic, shards))

    def unfollow(self, shards: Iterable[int]) -> None:
        self._notifier.unlisten(map(shard_topic, shards))

    def say(self, topic: str, **news: Sequence[object] | bool) -> None:
        """Send news soon, together with what else arises for the topic until then. Fields as of `News`."""
        if self.is_alone():
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        waiting = self._waiting.setdefault(topic, {})
        for field, value in news.items():
            items: list[object] = [True] if isinstance(value, bool) else list(value)
            waiting.setdefault(field, []).extend(items)

    def executed(self, operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> None:
        """Tell the owners of other shards what was just stored for them."""
        if self.is_alone():
            return
        for operation, outcome in zip(operations, outcomes, strict=True):
            if self.owns(operation.shard):
                continue
            match operation, outcome:
                case Append(), Appended(number=number) if number >= 0:
                    self.say(shard_topic(operation.shard), instances=[(operation.instance_id, number)])
                case Create(), Created():
                    self.say(shard_topic(operation.shard), instances=[(operation.instance.instance_id, -1)])
                case Deliver(), Delivered():
                    self._delivered(operation, outcome)
                # Where the owner need not look, a claim was made or a heartbeat written: its own affairs go on.
                case ReplaceActivity(), Done() if operation.record.look_at_ms < NEVER_MS:
                    self.say(shard_topic(operation.shard), calls=[operation.record.key])
                case _:
                    pass

    def _delivered(self, operation: Deliver, outcome: Delivered) -> None:
        instances: list[tuple[str, int]] = []
        for delivery, result in zip(operation.deliveries, outcome.outcomes, strict=True):
            if isinstance(result, Appended) and result.number >= 0:
                instances.append((delivery.instance_id, result.number))
            elif isinstance(result, Created) and delivery.create is not None:
                instances.append((delivery.create.instance_id, -1))
        if instances:
            self.say(shard_topic(operation.shard), instances=instances)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for topic, fields in waiting.items():
            news = News(
                **{name: True if name == "spilled" else items[:_MOST_TOGETHER] for name, items in fields.items()}  # type: ignore[arg-type]
            )
            self._notifier.publish(topic, _encoder.encode(news))

    def _received(self, topic: str, body: bytes) -> None:
        try:
            news = _decoder.decode(body)
            kind, _, rest = topic.partition(":")
            if kind == "shard":
                self.on_shard(int(rest), news)
            elif (take := self._on.get(topic)) is not None:
                take(news)
        except Exception:  # a nudge comes from outside: whatever it holds, the next one must be heard
            _log.exception("a nudge could not be understood", topic=topic)
