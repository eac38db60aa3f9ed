"""One instance's turns without a store, a worker or a loop: the core's functions in the order in which turns call them.

`BareCore` keeps what the store would hold of one instance (history, metadata, custom status, unread messages) and
answers each turn with everything that followed from it. Times and ids are fixed, so two runs are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tenuto_engine.codec.events import decode_event, encode_event
from tenuto_engine.codec.records import decode_metadata
from tenuto_engine.core import actions as a
from tenuto_engine.core import events as e
from tenuto_engine.core.apply import apply, fold
from tenuto_engine.core.decide import TurnPlan, custom_status_refusal, decide_actions, history_refusal, plan_turn
from tenuto_engine.core.effects import DisarmTimer, Effect
from tenuto_engine.core.limits import Limits
from tenuto_engine.core.status import Hold
from tenuto_engine.ports.leases import Lease
from tenuto_engine.ports.operations import Commit
from tenuto_engine.ports.records import Head, Message, NewInstance
from tenuto_engine.runtime import loading, turn_commit
from tenuto_engine.runtime.births import new_instance
from tenuto_engine.runtime.clock import StoreClock
from tenuto_engine.runtime.context import Context, RuntimeSettings
from tenuto_engine.runtime.faults import Faults
from tenuto_engine.runtime.instance import LiveInstance, Mail
from tenuto_engine.runtime.metrics import Metrics
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.turn_commit import Outbound, build_commit, translate


class FixedClock(StoreClock):
    """Stands at `at_ms` until it is set."""

    at_ms = 1_000

    def now_ms(self) -> int:
        return self.at_ms


def fixed_context(limits: Limits | None = None, *, shards: int = 4) -> Context:
    """What the runtime's plain functions need, with a clock that stands and an id that is known."""
    context = Context(
        RuntimeSettings(app="shop", shards=shards),
        limits or Limits(),
        metrics=Metrics(app="shop", version=""),
        faults=Faults(),
    )
    context.clock = FixedClock()
    context.engine_id = "engine"
    return context


@dataclass(frozen=True)
class TurnTrace:
    """What followed from one turn, in the order in which it came about. Without a plan nothing did."""

    plan: TurnPlan | None
    events: list[e.Event] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    bodies: list[Outbound] = field(default_factory=list)


class BareCore:
    """One instance, from its start.

    Args:
        started: its first event.
        limits: as the engine has them.
        born: its record, where it does not begin with `started` alone (a rerun).
    """

    def __init__(
        self, started: e.ExecutionStarted, *, limits: Limits | None = None, born: NewInstance | None = None
    ) -> None:
        self.context = fixed_context(limits)
        self.clock = self.context.clock
        new = born or new_instance(started, start_id="start", now_ms=self.clock.now_ms())
        self.history: list[bytes] = list(new.history)
        self.custom_status: bytes | None = None
        self.numbered = 0
        self._shard = Shard(Lease(2, "", "engine", 1, "token"))
        self.head, self.metadata = new.head, new.metadata
        self.live = self._load(new.head, new.metadata)
        for message in new.messages:
            self._take(message)

    @property
    def records(self) -> int:
        """How many of the instance's records the store holds besides unread messages."""
        return len(self.history) + 1 + (self.custom_status is not None)

    def receive(self, event: e.Event) -> None:
        """An unread message arrives."""
        self._add(Mail(event, encode_event(event), number=self.numbered, at_ms=0))

    def turn(
        self, actions: Sequence[a.Action] = (), *, custom_status: bytes | None = None, patches: Sequence[str] = ()
    ) -> TurnTrace:
        """Run the next turn, in which the workflow's code, if it runs at all, asks for `actions`."""
        live, state, limits = self.live, self.live.state, self.context.limits
        unread = sorted(live.mail, key=Mail.order)
        plan = plan_turn(state, [mail.event for mail in unread])
        if plan is None:
            return TurnTrace(None)
        if not plan.needs_worker:
            actions, custom_status = (), None
        received = [unread[i] for i in plan.recorded]
        at_ms = max(self.clock.now_ms(), state.last_turn_at_ms)
        events: list[e.Event] = [e.TurnStarted(at_ms, list(patches))] if received or patches else []
        events += [mail.event for mail in received]
        live.cancelled = decide_actions(state, actions, limits).cancelled
        too_large = custom_status_refusal(state, custom_status, limits)
        if too_large is not None:
            live.cancelled, custom_status = [], None
        events += self._decided(events, actions, too_large)
        if plan.releases and state.hold is not Hold.SUSPENDED:
            state.hold, state.reason = Hold.NONE, ""
        taken = {*plan.recorded, *plan.void}
        consumed = [mail.number for i, mail in enumerate(unread) if i in taken and mail.number is not None]
        live.mail = [mail for i, mail in enumerate(unread) if i not in taken]
        return self._commit(plan, events, consumed=consumed, custom_status=custom_status)

    def _decided(
        self, before: Sequence[e.Event], actions: Sequence[a.Action], too_large: e.Event | None
    ) -> list[e.Event]:
        state, limits = self.live.state, self.context.limits
        decided: list[e.Event] = decide_actions(state, actions, limits).events
        if too_large is not None:
            decided = [too_large]
        every = [*before, *decided]
        size = sum(len(encode_event(event)) for event in every)
        last = every[-1] if every else None
        refused = history_refusal(state, added_events=len(every), added_bytes=size, last=last, limits=limits)
        if refused is not None:
            decided = [refused]
        return decided

    def _commit(
        self, plan: TurnPlan, events: list[e.Event], *, consumed: Sequence[int], custom_status: bytes | None
    ) -> TurnTrace:
        trace = TurnTrace(plan, events)
        pairs = [(event, encode_event(event)) for event in events]
        parts = turn_commit.parts_of(pairs, self.context.limits, together=1 + len(plan.recorded))
        for part in parts:
            effects: list[Effect] = []
            for event, raw in part:
                apply(self.live.state, event, size_bytes=len(raw), effects=effects)
            is_last = part is parts[-1]
            if is_last:
                open_timers = self.live.state.timers
                effects += [DisarmTimer(i) for i in self.live.cancelled if open_timers.pop(i, None) is not None]
            out = translate(effects, self.live, self.context)
            commit = build_commit(
                self.live,
                out,
                self.context,
                commit_id=self.context.new_commit_id(),
                history=[raw for _, raw in part],
                consumed=consumed if part is parts[0] else (),
                custom_status=custom_status if is_last else None,
                open_turn=not is_last,
            )
            trace.effects.extend(effects)
            trace.commits.append(commit)
            trace.bodies.append(out)
            self._store(commit)
        return trace

    def _store(self, commit: Commit) -> None:
        assert commit.base_commit_id == self.live.base_commit_id
        assert commit.base_length == (len(self.history) if not commit.renew else commit.base_length)
        self.history = list(commit.history) if commit.renew else [*self.history, *commit.history]
        self.head, self.metadata = commit.head, commit.metadata
        if commit.custom_status is not None:
            self.custom_status = commit.custom_status
        if commit.renew:
            unread = self.live.mail
            self.live = self._load(commit.head, commit.metadata)
            self.live.mail = unread
        self.live.base_commit_id = commit.head.commit_id
        self.live.taken = commit.head.taken
        self.live.indexed = commit.head.status
        for target, message in commit.appends:
            if target == self.live.id:
                self._take(message)

    def _load(self, head: Head, metadata: bytes) -> LiveInstance:
        body = decode_metadata(metadata)
        live = LiveInstance("order-1", self._shard, loading._initial_state("order-1", head, body), body)
        live.base_commit_id, live.start_id, live.taken = head.commit_id, head.start_id, head.taken
        fold(live.state, [(decode_event(raw), len(raw)) for raw in self.history])
        live.indexed = head.status
        loading._overrule(live, head)
        return live

    def _take(self, message: Message) -> None:
        self._add(loading._mail(self.numbered, message.body))

    def _add(self, mail: Mail) -> None:
        self.live.mail.append(mail)
        self.numbered += 1


def started(*, instance_id: str = "order-1", parent: e.Parent | None = None, **fields: object) -> e.ExecutionStarted:
    """A start with fixed ids."""
    values: dict[str, object] = {"name": "ship", "execution_id": "x1", **fields}
    return e.ExecutionStarted(instance_id=instance_id, parent=parent, **values)  # type: ignore[arg-type]  # a test's brevity
