"""Connected workers: who has registered what, who is free, and what waits for whom.

An item goes only to a worker that has registered its name. A turn goes to the worker that holds the live instance,
else to the least busy one. Items that find no worker wait here, in memory: the store has them too (ready marks,
activity entries), so nothing is forgotten if this engine dies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable

from tenuto_engine.ports.inbound import ActivityItem, Hello, Outgoing, TurnItem
from tenuto_engine.runtime.call import Call
from tenuto_engine.runtime.instance import LiveInstance, Phase
from tenuto_engine.runtime.metrics import Metrics

DEFAULT_TURNS = 256
DEFAULT_ACTIVITIES = 256
# A queue that grows beyond this, and beyond twice what it was, is freed of what waits no more.
_TIDY_FROM = 1_024
# Names of activities remembered that other engines have told of.
_HEARD = 1_000


class Names:
    """What a worker can run, by name. One that `takes_any` can run whatever it has not refused."""

    def __init__(self, known: Iterable[str], *, takes_any: bool) -> None:
        self.known = set(known)
        self.takes_any = takes_any
        self._refused: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.known or (self.takes_any and name not in self._refused)

    def __bool__(self) -> bool:
        return self.takes_any or bool(self.known)

    def refuse(self, name: str) -> None:
        """The worker has said that it does not have this one."""
        self.known.discard(name)
        if self.takes_any:
            self._refused.add(name)


class WorkerSession:
    """One worker's stream. `wake` is set by the edge and called when something was queued for an idle stream."""

    def __init__(self, hello: Hello, wake: Callable[[], None]) -> None:
        self.id = hello.worker_id
        self.code_hash = hello.code_hash
        self.sdk = hello.sdk
        self.workflows = Names(hello.workflows, takes_any=hello.takes_any)
        self.activities = Names(hello.activities, takes_any=hello.takes_any)
        self.max_turns = hello.max_turns or DEFAULT_TURNS
        self.max_activities = hello.max_activities or DEFAULT_ACTIVITIES
        self.sticky = hello.max_sticky > 0
        self.alive = True
        self.draining = False
        self.blocked = False  # it has not answered a turn in time, and nothing since
        self.turns: dict[str, LiveInstance] = {}
        self.given = 0  # instances that were not held elsewhere
        self.runs: dict[str, Call] = {}
        # Tokens the worker said it still runs or answers for; matched with calls as their entries are read.
        self.announced = set(hello.running)
        self.outgoing = Outgoing([], [], [], [], [])
        self._wake = wake

    @property
    def has_turns(self) -> bool:
        """Whether it was given turns that it has not answered, sent or not."""
        return bool(self.turns)

    @property
    def has_runs(self) -> bool:
        """Whether it was given activities that it has not answered, sent or not."""
        return bool(self.runs)

    def send_turn(self, item: TurnItem) -> None:
        self.outgoing.turns.append(item)
        self._wake()

    def send_activity(self, item: ActivityItem) -> None:
        self.outgoing.activities.append(item)
        self._wake()

    def cancel(self, token: str, reason: str) -> None:
        """Tell the worker that nobody waits for this activity any more."""
        self.outgoing.cancelled.append((token, reason))
        self._wake()

    def acknowledge(self, token: str) -> None:
        # Acknowledgements only free the worker's memory: they travel with the next item, or with the next sweep.
        self.outgoing.acknowledged.append(token)

    def flush(self) -> None:
        """Send what waits for company."""
        if self.outgoing.acknowledged:
            self._wake()

    def forget(self, instance_id: str, execution_id: str) -> None:
        self.outgoing.forget.append((instance_id, execution_id))
        self._wake()

    def unsend(self, instance_id: str) -> None:
        """Do not send a turn that still waits for the stream."""
        self.outgoing.turns = [item for item in self.outgoing.turns if item.instance_id != instance_id]

    def announce_drain(self) -> None:
        self.outgoing.draining = True
        self._wake()

    def take_outgoing(self) -> Outgoing | None:
        """Take everything queued, or None. The caller writes it as one message."""
        out = self.outgoing
        if not (out.turns or out.activities or out.acknowledged or out.forget or out.cancelled or out.draining):
            return None
        self.outgoing = Outgoing([], [], [], [], [])
        return out


class Workers:
    """All sessions of this engine, and the items that wait for one of them."""

    def __init__(self, *, metrics: Metrics) -> None:
        self._metrics = metrics
        self.sessions: dict[str, WorkerSession] = {}
        self._turns: dict[str, deque[LiveInstance]] = {}
        self._calls: dict[str, deque[Call]] = {}
        self._tidy_at: dict[str, int] = {}
        self._heard: dict[str, None] = {}  # activities that wait in the spill list, or did
        self.coming = 0  # calls being claimed, which will each take a slot

    def add(self, session: WorkerSession) -> WorkerSession | None:
        """Register a session; returns the former session of the same worker, which it replaces."""
        former = self.sessions.get(session.id)
        self.sessions[session.id] = session
        self._metrics.streams.set(len(self.sessions))
        return former

    def remove(self, session: WorkerSession) -> None:
        """Forget a session whose stream ended (unless a newer one of the same worker took its place)."""
        session.alive = False
        if self.sessions.get(session.id) is session:
            del self.sessions[session.id]
        self._metrics.streams.set(len(self.sessions))

    def for_turn(self, name: str, holder: WorkerSession | None, shunned: Collection[str] = ()) -> WorkerSession | None:
        """The worker for a turn of workflow `name`: the holder of the live instance, else the least busy, else None.

        Turns are short, so most often nobody is busy; then it is the one that was given the fewest instances. One that
        has registered the name goes before one that takes any. `shunned` ones get it only where there is no other.
        """
        if holder is not None and holder.alive and _may_run(holder, name):
            return holder
        free = [session for session in self.sessions.values() if _may_run(session, name)]
        if shunned and self.others_suit(name, shunned):
            free = [session for session in free if session.id not in shunned]
        if not free:
            return None
        chosen = min(free, key=lambda s: (name not in s.workflows.known, len(s.turns), s.given))
        chosen.given += 1
        return chosen

    def for_activity(self, name: str) -> WorkerSession | None:
        """The least busy worker for the activity with a free slot, else None.

        One that has registered the name goes before one that takes any.
        """
        best: WorkerSession | None = None
        best_rank = (False, 0)
        for session in self.sessions.values():
            if _free(session) > 0 and name in session.activities:
                rank = (name not in session.activities.known, len(session.runs))
                if best is None or rank < best_rank:
                    best, best_rank = session, rank
        return best

    def others_suit(self, name: str, shunned: Collection[str]) -> bool:
        """Whether a worker beside the shunned ones may run the workflow, perhaps only once it has a free slot."""
        return any(
            name in session.workflows and session.id not in shunned and not session.draining and not session.blocked
            for session in self.sessions.values()
        )

    def knows_workflow(self, name: str) -> bool:
        """Whether any connected worker has registered the workflow."""
        return any(name in session.workflows for session in self.sessions.values())

    def others_know(self, session: WorkerSession, *, workflow: str = "", activity: str = "") -> bool:
        """Whether a worker beside `session` may have what that one says it lacks."""
        others = [other for other in self.sessions.values() if other is not session]
        return any(workflow in other.workflows if workflow else activity in other.activities for other in others)

    def wait_for_turn(self, name: str, instance: LiveInstance) -> None:
        queue = self._turns.setdefault(name, deque())
        if len(queue) >= self._tidy_at.get(name, _TIDY_FROM):
            # Instances that left memory or were planned anew meanwhile; nobody may ever come for this name.
            kept = dict.fromkeys(other for other in queue if other.phase is Phase.WAITING and other is not instance)
            self._turns[name] = queue = deque(kept)
            self._tidy_at[name] = max(_TIDY_FROM, 2 * len(queue))
        queue.append(instance)

    def wait_for_activity(self, call: Call, now: float) -> None:
        """Keep a call until a worker is free. `now`: monotonic seconds."""
        if not call.queued_at:
            call.queued_at = now
            name = call.body.name
            queue = self._calls.setdefault(name, deque())
            if len(queue) >= self._tidy_at.get(name, _TIDY_FROM):
                self._calls[name] = queue = deque(filter(_is_queued, queue))
                self._tidy_at[name] = max(_TIDY_FROM, 2 * len(queue))
            queue.append(call)

    def next_turns(self, session: WorkerSession) -> list[LiveInstance]:
        """Take instances that waited and that this session may run, up to its free slots."""
        if not self._turns or session.draining or session.blocked:
            return []
        free = session.max_turns - len(session.turns)
        taken: list[LiveInstance] = []
        for name in [n for n in self._turns if n in session.workflows]:
            queue = self._turns[name]
            while queue and len(taken) < free:
                instance = queue.popleft()
                if instance.phase is Phase.WAITING:
                    taken.append(instance)
            if not queue:
                del self._turns[name]
        return taken

    def next_activities(self, session: WorkerSession) -> list[Call]:
        """Take activity calls that waited and that this session may run, up to its free slots."""
        if not self._calls or session.draining:
            return []
        free = session.max_activities - len(session.runs)
        taken: list[Call] = []
        for name in [n for n in self._calls if n in session.activities]:
            queue = self._calls[name]
            while queue and len(taken) < free:
                call = queue.popleft()
                if call.queued_at:
                    call.queued_at = 0.0
                    taken.append(call)
            if not queue:
                del self._calls[name]
        return taken

    def waiting_calls(self) -> tuple[int, int]:
        """How many calls wait for a worker, and since when the first of them (Unix ms, 0 for none)."""
        waiting = [call for queue in self._calls.values() for call in queue if call.queued_at]
        return len(waiting), min((call.body.claimed_at_ms for call in waiting), default=0)

    def queued_before(self, moment: float) -> list[Call]:
        """Calls that have waited here for a free slot since before this moment (monotonic seconds)."""
        return [call for queue in self._calls.values() for call in queue if 0.0 < call.queued_at < moment]

    def free_for(self, name: str) -> int:
        """How many more calls of an activity could begin at once."""
        if self._calls.get(name):
            return 0
        free = sum(_free(session) for session in self.sessions.values() if name in session.activities)
        return max(0, free - self.coming)

    def wanted(self) -> tuple[list[str], int]:
        """The activities that workers with free slots may have, and how many calls could begin at once.

        Of a worker that does not say what it has: those that other engines have told of.
        """
        free = [session for session in self.sessions.values() if _free(session) > 0]
        names = {name for session in free for name in session.activities.known}
        any_name = [session.activities for session in free if session.activities.takes_any]
        names |= {name for name in self._heard if any(name in activities for activities in any_name)}
        return sorted(name for name in names if not self._calls.get(name)), max(0, sum(map(_free, free)) - self.coming)

    def hear_of(self, names: Iterable[str]) -> None:
        """Calls of these activities wait for any engine."""
        for name in names:
            self._heard.pop(name, None)
            self._heard[name] = None
        while len(self._heard) > _HEARD:
            del self._heard[next(iter(self._heard))]

    @property
    def activity_slots(self) -> int:
        """How many calls could run here at once."""
        return sum(session.max_activities for session in self.sessions.values() if not session.draining)


class Slots:
    """Free slots as they are given away by one commit, whose calls are handed out only once it is stored."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._left: dict[str, int] = {}

    def take(self, name: str) -> bool:
        """Whether another call of this activity can begin here."""
        left = self._left.get(name)
        if left is None:
            left = self._workers.free_for(name)
        self._left[name] = left - 1
        return left > 0


def _free(session: WorkerSession) -> int:
    return 0 if session.draining else max(0, session.max_activities - len(session.runs))


def _is_queued(call: Call) -> bool:
    return call.queued_at > 0.0


def _may_run(session: WorkerSession, name: str) -> bool:
    """Whether a worker can take a turn of workflow `name` now."""
    is_open = not session.draining and not session.blocked
    return is_open and name in session.workflows and len(session.turns) < session.max_turns
