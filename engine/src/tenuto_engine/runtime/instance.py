"""What the owner keeps in memory of one instance: its state, its unread messages, and the turn under way."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from tenuto_engine.codec.records import MetadataBody
from tenuto_engine.core.decide import CONTROL
from tenuto_engine.core.events import Event, ExecutionStarted, ExecutionTerminated
from tenuto_engine.core.state import InstanceState

if TYPE_CHECKING:
    from tenuto_engine.core.status import Status
    from tenuto_engine.ports.inbound import TurnAnswer
    from tenuto_engine.runtime.shard import Shard
    from tenuto_engine.runtime.workers import WorkerSession


class Phase(Enum):
    """Where an instance's mailbox stands. Only IDLE may begin a turn: one turn, one commit at a time."""

    LOADING = auto()
    IDLE = auto()
    WAITING = auto()  # a turn is planned, but no worker can take it now
    TURN = auto()  # a worker runs it
    CONFIRMING = auto()  # the worker answered; a message of the turn is not confirmed by the store yet
    COMMITTING = auto()
    DROPPED = auto()


class Mail:
    """One unread message. `number` is None until the store has confirmed it (it may still be refused)."""

    __slots__ = ("at_ms", "carried", "event", "execution_id", "number", "raw", "refused")

    def __init__(
        self, event: Event, raw: bytes, *, number: int | None, at_ms: int, execution_id: str = "", carried: bool = False
    ) -> None:
        self.event = event
        self.raw = raw
        self.number = number
        self.at_ms = at_ms
        self.execution_id = execution_id
        self.carried = carried
        self.refused = False

    def order(self) -> tuple[int, float]:
        """The start comes first, then what the former execution left, then all else by number, unconfirmed last."""
        rank = 0 if type(self.event) is ExecutionStarted else 1 if self.carried else 2
        return rank, float("inf") if self.number is None else self.number


class Turn:
    """A turn under way: what it takes, who runs it, and what it will be committed as."""

    __slots__ = (
        "answer",
        "at_ms",
        "commit_id",
        "full",
        "mail",
        "reached_at",
        "received",
        "releases",
        "resumes",
        "sent_at",
        "session",
        "void",
    )

    def __init__(
        self,
        *,
        commit_id: str,
        at_ms: int,
        received: list[Mail],
        void: list[Mail],
        releases: bool = False,
        resumes: bool = False,
    ) -> None:
        self.commit_id = commit_id
        self.at_ms = at_ms
        self.received = received
        self.void = void
        self.mail = [*received, *void]
        self.releases = releases  # ends a stall or delay
        self.full = False  # the worker was sent the whole history
        self.resumes = resumes  # goes on with a turn recorded in part: no new TurnStarted
        self.session: WorkerSession | None = None
        self.sent_at = 0.0  # when it was handed to the worker
        self.reached_at = 0.0  # when all of it was on the stream, its history too
        self.answer: TurnAnswer | None = None


class LiveInstance:
    """One instance in its owner's memory.

    `base_*` are what the store holds: a commit names them. `known_next`: numbers below it are known here (in `mail`
    or consumed). `worker`: the session that holds the live instance at `base_commit_id`, if any.
    """

    __slots__ = (
        "base_commit_id",
        "body",
        "cancelled",
        "custom_status",
        "delayed",
        "ending",
        "failures",
        "fetching",
        "id",
        "inbox_low",
        "indexed",
        "known_next",
        "mail",
        "on_progress",
        "open_tail",
        "phase",
        "series",
        "shard",
        "shunned",
        "start_id",
        "state",
        "taken",
        "turn",
        "version",
        "waiting_since",
        "watchers",
        "worker",
    )  # fmt: skip

    def __init__(self, instance_id: str, shard: Shard, state: InstanceState, body: MetadataBody) -> None:
        self.id = instance_id
        self.shard = shard
        self.state = state
        self.body = body
        self.base_commit_id = ""
        self.start_id = ""
        self.version = ""
        self.taken = 0
        self.inbox_low = 0
        self.known_next = 0
        self.indexed: Status = state.status
        self.mail: list[Mail] = []
        self.phase = Phase.LOADING
        # First numbers of the reads of messages under way; no turn begins before all have ended, for order's sake.
        self.fetching: list[int] = []
        self.turn: Turn | None = None
        self.series: list[Any] = []
        self.cancelled: list[int] = []
        self.ending: Event | None = None  # the terminal event, once committed
        self.custom_status: bytes | None = None
        self.open_tail = False
        self.delayed = False  # as stored: a reminder is set that will wake it
        self.worker: WorkerSession | None = None
        self.failures = 0
        self.shunned: set[str] = set()  # workers that could not run the turn under way
        self.waiting_since = 0.0
        self.on_progress: list[Callable[[], None]] = []
        self.watchers: set[str] = set()  # engines that are told, while the instance is in memory

    def has_passing_mail(self) -> bool:
        """Whether a message is unread that needs no worker; of a turn recorded in part, only an end cuts it short."""
        passing = ExecutionTerminated if self.open_tail else CONTROL
        return any(isinstance(mail.event, passing) for mail in self.mail)

    def lowest_unread(self) -> int:
        """The number below which every message was taken: none that is unread, or still being read, is below it."""
        if not self.mail and not self.fetching:
            return self.known_next
        unread = [mail.number for mail in self.mail if mail.number is not None]
        return min([*unread, *self.fetching, self.known_next])

    def workflow_name(self) -> str:
        """The workflow's name; before the first turn it stands only in the unread start."""
        if self.state.name:
            return self.state.name
        return self.body.name
