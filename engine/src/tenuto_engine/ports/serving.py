"""What the edge asks of the runtime: the engine as its services and probes see it.

The edge depends on these Protocols and never on the runtime, so that a second dialect of the wire needs nothing of it,
and the runtime can change without a translator noticing. `app` joins the two; the type checker compares them there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol, TypeVar

import msgspec

from tenuto_engine.ports.inbound import (
    ActivityAnswer,
    ActivityBeat,
    Hello,
    InstanceView,
    ListRequest,
    Outgoing,
    RerunRequest,
    Started,
    StartRequest,
    TurnAnswer,
)
from tenuto_engine.ports.records import Stored


class EngineView(msgspec.Struct, frozen=True):
    """What an engine says of itself. `shards_owned`, `workers`: of this moment; the bounds are in bytes.

    `has_peers`: other engines of the app are there, and stay.
    """

    engine_id: str
    app: str
    version: str
    store: str
    durability: str
    durability_verified: bool
    shards: int
    shards_owned: int
    workers: int
    draining: bool
    has_peers: bool
    max_payload_bytes: int
    max_message_bytes: int


class Session(Protocol):
    """One worker's stream, as the runtime keeps it; to the edge it is a queue of what to write."""

    @property
    def has_turns(self) -> bool:
        """Whether it was given turns that it has not answered, sent or not."""
        ...

    @property
    def has_runs(self) -> bool:
        """Whether it was given activities that it has not answered, sent or not."""
        ...

    def take_outgoing(self) -> Outgoing | None:
        """Take everything queued, or None where nothing is."""
        ...


AnySession = TypeVar("AnySession", bound=Session)


class WorkerHost(Protocol[AnySession]):
    """The engine as worker streams use it. Nothing here awaits: answers are taken, and acknowledged later."""

    def describe(self) -> EngineView: ...

    def connect(self, hello: Hello, wake: Callable[[], None]) -> AnySession:
        """A stream began; `wake` is called whenever something is queued for it."""
        ...

    def disconnect(self, session: AnySession) -> None:
        """The stream ended."""
        ...

    def others_know(self, session: AnySession, *, workflow: str = "", activity: str = "", token: str = "") -> bool:
        """Whether another worker may have the workflow or activity (`token`: of the call) that this one says it lacks.

        A call of another engine's instance may have been meant for one of its workers.
        """
        ...

    def turn_answered(self, session: AnySession, answer: TurnAnswer) -> None: ...

    def activity_answered(self, session: AnySession, answer: ActivityAnswer) -> None: ...

    def stray_answered(self, answer: ActivityAnswer) -> None:
        """A worker that this engine does not know answers a call: one of a broken stream, or of another engine."""
        ...

    def activity_alive(self, session: AnySession, beat: ActivityBeat) -> None: ...

    def worker_draining(self, session: AnySession) -> None:
        """The worker takes nothing new; what it runs may still answer."""
        ...


class Management(Protocol):
    """Commands and questions of clients. Every method raises `CommandRefused` for what it cannot accept."""

    async def start(self, request: StartRequest) -> Started: ...

    async def get(self, instance_id: str, *, payloads: bool) -> InstanceView | None: ...

    async def wait(
        self, instance_id: str, *, for_start: bool, timeout_seconds: float, payloads: bool
    ) -> InstanceView | None: ...

    async def list_page(self, request: ListRequest) -> tuple[list[InstanceView], str]:
        """A page, newest first, and the token of the next one, empty where there is none."""
        ...

    async def raise_event(self, command_id: str, instance_id: str, name: str, payload: bytes | None) -> bool:
        """Returns whether this very command was accepted before, as do the control commands below."""
        ...

    async def suspend(self, command_id: str, instance_id: str, reason: str, requested_by: str) -> bool: ...

    async def resume(self, command_id: str, instance_id: str, reason: str, requested_by: str) -> bool: ...

    async def terminate(
        self,
        command_id: str,
        instance_id: str,
        *,
        output: bytes | None,
        recursive: bool,
        reason: str,
        requested_by: str,
    ) -> bool: ...

    async def purge(
        self, instance_id: str, *, recursive: bool, force: bool, requested_by: str, reason: str = ""
    ) -> int:
        """Returns how many instances were removed."""
        ...

    async def rerun(self, request: RerunRequest) -> Started: ...

    async def rewind(self, command_id: str, instance_id: str, reason: str, requested_by: str) -> None: ...

    def history(self, instance_id: str) -> AsyncIterator[tuple[str, int, list[bytes]]]:
        """Pages of records: execution id, index of the first record, the records."""
        ...

    async def raw_state(self, instance_id: str, *, limit: int) -> tuple[str, int, Stored, list[tuple[str, bytes]]]:
        """The store's key, the shard, the head, and at most `limit` (name, value) pairs."""
        ...

    async def related(self, instance_id: str) -> list[tuple[str, dict[str, object]]]:
        """The shard's reminders and open activity calls of an instance, by a name for people."""
        ...


class Probed(Protocol):
    """The engine as probes and scrapers see it."""

    @property
    def is_ready(self) -> bool:
        """Whether commands can be taken now."""
        ...

    def metrics_page(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type, as the Accept header asks."""
        ...

    async def drain(self) -> None:
        """Take no more work, and return once what ran has ended or the drain time is over."""
        ...
