"""One open activity call as this engine knows it: its entry as stored, and where it runs if that is here.

An engine may know a call for two reasons. It owns the shard, and then looks after the entry; or it has claimed the
call, and then runs it, whoever owns the shard. Where both are true, both see this one object, so that neither acts on
a revision that the other has replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tenuto_engine.codec.records import ActivityBody
from tenuto_engine.ports.records import NEVER_MS, ActivityKey, ActivityRecord

if TYPE_CHECKING:
    from tenuto_engine.runtime.shard import Shard
    from tenuto_engine.runtime.workers import WorkerSession


def token_of(key: ActivityKey, *, attempt: int, deliveries: int) -> str:
    """The completion token of one delivery: any engine can read it, so a result outlives the engine that asked."""
    return f"{key.event_id}.{attempt}.{deliveries}.{key.execution_id}.{key.instance_id}"


def parse_token(token: str) -> tuple[ActivityKey, int] | None:
    """The call and attempt a token names, or None for anything that is no token."""
    parts = token.split(".", 4)
    if len(parts) != 5 or len(parts[0]) > 10 or len(parts[1]) > 10:
        return None
    if not (parts[0].isdecimal() and parts[1].isdecimal()):
        return None
    return ActivityKey(int(parts[0]), parts[3], parts[4]), int(parts[1])


class Call:
    """An open call; `body`, `attempt`, `revision` and `look_at_ms` are what the store holds, as far as is known here.

    `number`: of the shard. `shard`: its ownership by this engine, None where another one may own it. `payload` is the
    input, once `has_payload`. `is_open` ends when the call is closed; nothing is done for a closed call.
    `is_closing`: a final result is on its way to the store.
    While it runs: `session` has it, under the token `running`, since `started_at_ms`; `beat_at_ms` is its last sign of
    life (both only where a timeout counts from them), `details` what came with it, `beat_stored_ms` the last one
    written. `handed_at_ms`: when a worker last got it.
    `queued_at`: since when it waits here for a free slot (monotonic seconds), 0 where it does not.
    `hint_at_ms`, `hints`: when an unclaimed call is offered again, and how often it was.
    `writing`: its entry is being replaced, and `waiting` are the changes that come after.
    """

    __slots__ = (
        "attempt",
        "beat_at_ms",
        "beat_stored_ms",
        "body",
        "details",
        "handed_at_ms",
        "has_payload",
        "hint_at_ms",
        "hints",
        "is_closing",
        "is_open",
        "key",
        "look_at_ms",
        "number",
        "payload",
        "queued_at",
        "revision",
        "running",
        "session",
        "shard",
        "started_at_ms",
        "waiting",
        "watched_ms",
        "writing",
    )

    def __init__(
        self,
        key: ActivityKey,
        number: int,
        body: ActivityBody,
        *,
        attempt: int,
        revision: int,
        look_at_ms: int,
        shard: Shard | None = None,
        payload: bytes | None = None,
        has_payload: bool = False,
    ) -> None:
        self.key = key
        self.number = number
        self.shard = shard
        self.body = body
        self.attempt = attempt
        self.revision = revision
        self.look_at_ms = look_at_ms
        self.payload = payload
        self.has_payload = has_payload
        self.is_open = True
        self.is_closing = False
        self.running = ""
        self.session: WorkerSession | None = None
        self.queued_at = 0.0
        self.started_at_ms = 0
        self.handed_at_ms = 0
        self.beat_at_ms = 0
        self.beat_stored_ms = 0
        self.details = body.heartbeat_details
        self.hint_at_ms = 0
        self.hints = 0
        self.watched_ms = NEVER_MS
        self.writing = False
        self.waiting: list[Callable[[], None]] = []

    @property
    def is_at_work(self) -> bool:
        """Whether a worker has it, or it waits for one."""
        return self.session is not None or bool(self.queued_at)

    @property
    def token(self) -> str:
        """The completion token of the current delivery."""
        return token_of(self.key, attempt=self.attempt, deliveries=self.body.deliveries)

    @property
    def is_owned(self) -> bool:
        """Whether this engine owns the shard and looks after the entry."""
        return self.shard is not None and self.shard.alive

    @property
    def unanswered(self) -> int:
        """Deliveries of this call that no attempt's end has answered; each former attempt answered one."""
        return self.body.deliveries - (self.attempt - 1)

    def deadline_ms(self) -> int:
        """When the schedule-to-close timeout ends the call."""
        body = self.body
        return body.scheduled_at_ms + body.schedule_to_close_ms if body.schedule_to_close_ms else NEVER_MS

    def learn(self, record: ActivityRecord, body: ActivityBody, *, is_latest: bool = False) -> None:
        """Take what the store holds, unless that was read before something newer was written.

        `is_latest`: it was read after this engine's last write; a store that lost its last moments has gone back.
        """
        if record.revision < self.revision and not is_latest:
            return
        if self.session is None:
            self.details = body.heartbeat_details
        self.body, self.attempt, self.revision, self.look_at_ms = (
            body,
            record.attempt,
            record.revision,
            record.look_at_ms,
        )

    def owner_looks_at_ms(self) -> int:
        """When the owner acts next on this entry by itself."""
        if not self.is_owned:
            return NEVER_MS
        if self.body.claim:
            return self.deadline_ms()
        return min(self.deadline_ms(), max(self.body.due_at_ms, self.hint_at_ms))

    def runner_looks_at_ms(self) -> int:
        """When the engine that runs the call acts next by itself: the attempt has taken too long, or is too silent."""
        body, at_ms = self.body, NEVER_MS
        if self.session is not None and self.started_at_ms:
            if body.start_to_close_ms:
                at_ms = self.started_at_ms + body.start_to_close_ms
            if body.heartbeat_ms:
                at_ms = min(at_ms, self.beat_at_ms + body.heartbeat_ms)
        return at_ms

    def waits_for_worker(self, now_ms: int) -> bool:
        """Whether it could run now if a worker took it."""
        return bool(self.queued_at) or (not self.body.claim and self.body.due_at_ms <= now_ms)
