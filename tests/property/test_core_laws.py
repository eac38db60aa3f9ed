"""Laws of the core, for any workflow whatsoever.

A driver asks for anything, the world answers in any order, twice, late, or not at all; control comes in between. What
must hold is said by each test.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bare_core import BareCore, TurnTrace, started
from tenuto_engine.codec.events import decode_event
from tenuto_engine.core import actions as a
from tenuto_engine.core import events as e
from tenuto_engine.core.apply import apply, fold
from tenuto_engine.core.decide import plan_turn
from tenuto_engine.core.effects import DispatchActivity, EndExecution, NotifyParent
from tenuto_engine.core.limits import Limits
from tenuto_engine.core.state import InstanceState
from tenuto_engine.core.status import TERMINAL, Hold, Status

IDS = st.integers(0, 5)
FAILURE = e.Failure("ValueError", "no")
ASKED = st.one_of(
    st.builds(a.ScheduleActivity, IDS, st.just("pack")),
    st.builds(a.CreateTimer, IDS, st.integers(0, 9_999)),
    st.builds(a.CancelTimer, IDS),
    st.builds(a.StartChild, IDS, st.just("bill"), st.sampled_from(["bill-1", "bill-2"])),
    st.builds(a.SendEvent, IDS, st.sampled_from(["order-1", "order-2"]), st.just("paid")),
)
ENDING = st.one_of(
    st.builds(a.CompleteExecution, st.just(9), st.just(b"7")),
    st.builds(a.FailExecution, st.just(9), st.just(FAILURE)),
    st.builds(a.ContinueAsNew, st.just(9), st.just(b"again"), st.booleans()),
)
ANSWERS: st.SearchStrategy[e.Event] = st.one_of(
    st.builds(e.ActivityCompleted, IDS),
    st.builds(e.ActivityFailed, IDS, st.just(FAILURE)),
    st.builds(e.TimerFired, IDS),
    st.builds(e.ChildCompleted, IDS),
    st.builds(e.ChildFailed, IDS, st.just(FAILURE)),
    st.builds(e.EventRaised, st.sampled_from(["paid", "PAID"])),
)
CONTROL: st.SearchStrategy[e.Event] = st.sampled_from(
    [e.ExecutionSuspended(), e.ExecutionResumed(), e.ExecutionTerminated(), e.WokenUp()]
)
STEP = st.tuples(
    st.lists(st.one_of(ANSWERS, ANSWERS, ANSWERS, CONTROL), max_size=4),
    st.lists(ASKED, max_size=4),
    st.one_of(st.none(), st.none(), st.none(), ENDING),
)
STEPS = st.lists(STEP, max_size=8)
Step = tuple[list[e.Event], list[a.Action], a.Action | None]


def play(
    steps: Sequence[Step], *, twice: bool = False, limits: Limits | None = None
) -> tuple[BareCore, list[TurnTrace]]:
    """A workflow's life until it ends. `twice`: every answer of an operation comes a second time."""
    core = BareCore(started(parent=e.Parent("order-0", "x0", 4)), limits=limits)
    traces: list[TurnTrace] = []
    for answers, asked, ending in steps:
        for event in answers:
            core.receive(event)
            if twice and not isinstance(event, (e.EventRaised, *OTHERS)):
                core.receive(event)
        actions = [*asked, ending] if ending is not None else asked
        while core.live.state.status not in TERMINAL:
            runs_code = needs_worker(core)
            trace = core.turn(actions if runs_code else [])
            if trace.plan is None:
                break
            traces.append(trace)
            # The code asks once a step: what it asked for in a first execution, it need not ask for in the next.
            actions = [] if runs_code else actions
    return core, traces


OTHERS = (e.ExecutionSuspended, e.ExecutionResumed, e.ExecutionTerminated, e.WokenUp)


def needs_worker(core: BareCore) -> bool:
    """Whether the next turn runs the workflow's code."""
    plan = plan_turn(core.live.state, [mail.event for mail in sorted(core.live.mail, key=lambda mail: mail.order())])
    return plan is not None and plan.needs_worker


def facts(state: InstanceState) -> object:
    """What history says of a state: all but holds that are not part of it."""
    return msgspec.to_builtins(msgspec.structs.replace(state, hold=Hold.NONE))


def folded(core: BareCore, history: Sequence[bytes]) -> InstanceState:
    """The fold of `history` over the execution's first state."""
    live = core.live.state
    state = InstanceState(live.instance_id, live.execution_id, carried=live.carried, generation=live.generation)
    fold(state, [(decode_event(raw), len(raw)) for raw in history])
    return state


@given(STEPS, st.data())
def test_fold_is_a_left_fold(steps: list[Step], data: st.DataObject) -> None:
    """Folding a prefix and then the rest is folding all: a load in pages, or a commit in parts, changes nothing."""
    core, _ = play(steps)
    cut = data.draw(st.integers(0, len(core.history)))
    once, parts = folded(core, core.history), folded(core, core.history[:cut])
    fold(parts, [(decode_event(raw), len(raw)) for raw in core.history[cut:]])
    assert parts == once


@given(STEPS)
def test_recovery_arrives_where_the_turns_left(steps: list[Step]) -> None:
    """The state folded from the stored history equals the one that the turns made, but for timers cancelled."""
    core, _ = play(steps)
    state = core.live.state
    recovered = folded(core, core.history)
    assert (recovered.length, recovered.size_bytes) == (state.length, state.size_bytes)
    assert recovered.length == len(core.history)
    assert recovered.activities == state.activities
    assert recovered.children == state.children
    assert set(state.timers) <= set(recovered.timers)
    if core.history:
        assert recovered.status == state.status


@given(STEPS)
def test_duplicates_change_nothing(steps: list[Step]) -> None:
    """If every result comes twice, the history is the same, byte for byte."""
    once, _ = play(steps)
    twice, _ = play(steps, twice=True)
    assert twice.history == once.history
    assert facts(twice.live.state) == facts(once.live.state)


@given(STEPS, st.lists(st.one_of(ANSWERS, CONTROL), max_size=3))
def test_terminal_states_are_final(steps: list[Step], late: list[e.Event]) -> None:
    """An ending is the last event of its history, happens once, and nothing leaves a terminal status."""
    core, traces = play([*steps, ([], [], None), ([e.ExecutionTerminated()], [], None)])
    assert core.live.state.status in TERMINAL
    ends = [decode_event(raw) for raw in core.history]
    assert isinstance(ends[-1], e.ExecutionCompleted | e.ExecutionFailed | e.ExecutionTerminated)
    assert sum(isinstance(x, e.ExecutionCompleted | e.ExecutionFailed | e.ExecutionTerminated) for x in ends) == 1
    effects = [effect for trace in traces for effect in trace.effects]
    assert sum(isinstance(x, EndExecution) for x in effects) == 1
    assert sum(isinstance(x, NotifyParent) for x in effects) == 1
    assert [commit.close for trace in traces for commit in trace.commits].count(True) == 1
    status = core.live.state.status
    for event in late:
        if not isinstance(event, OTHERS):
            apply(core.live.state, event, size_bytes=1, effects=[])
    assert core.live.state.status is status


@given(STEPS)
def test_history_is_append_only(steps: list[Step]) -> None:
    """Each commit adds behind what the one before left, or begins another execution at zero."""
    _, traces = play(steps)
    length, last, execution_id = 0, "", "x1"
    for commit in (commit for trace in traces for commit in trace.commits):
        assert (commit.base_execution_id, commit.base_commit_id) == (execution_id, last)
        assert commit.base_length == length
        expected = 0 if commit.renew else length + len(commit.history)
        assert commit.head.history_length == expected
        length, last, execution_id = expected, commit.head.commit_id, commit.head.execution_id


@given(STEPS)
def test_every_message_is_consumed_once(steps: list[Step]) -> None:
    """What was received is recorded or void, in exactly one turn; the rest is unread still."""
    core, traces = play(steps)
    consumed = [number for trace in traces for commit in trace.commits for number in commit.consumed]
    assert len(consumed) == len(set(consumed))
    unread = {mail.number for mail in core.live.mail}
    assert unread.isdisjoint(consumed)
    assert unread | set(consumed) == set(range(core.numbered))
    assert core.live.taken == len(consumed)


@given(STEPS)
def test_each_call_is_dispatched_once(steps: list[Step]) -> None:
    """Every scheduled activity is dispatched by the turn that scheduled it, and by no other."""
    _, traces = play(steps)
    for trace in traces:
        scheduled = [event for event in trace.events if isinstance(event, e.ActivityScheduled)]
        assert [x.event for x in trace.effects if isinstance(x, DispatchActivity)] == scheduled


@given(STEPS)
def test_control_turns_need_no_worker_and_ask_for_nothing(steps: list[Step]) -> None:
    """A turn with control holds no other message, so it works while no worker is alive."""
    _, traces = play(steps)
    for trace in traces:
        assert trace.plan is not None
        if any(isinstance(event, OTHERS) for event in trace.events):
            assert not trace.plan.needs_worker
            assert all(isinstance(event, (e.TurnStarted, e.ExecutionStarted, *OTHERS)) for event in trace.events)


@given(STEPS, st.integers(1, 5))
def test_parts_of_a_turn_add_up(steps: list[Step], records: int) -> None:
    """However small the commits must be, the history and the state at the end are the same."""
    whole, _ = play(steps)
    parted, _ = play(steps, limits=Limits(commit_records=records))
    assert parted.history == whole.history
    assert facts(parted.live.state) == facts(whole.live.state)


@given(STEPS)
def test_turns_never_go_back_in_time(steps: list[Step]) -> None:
    """The times of a history's turns never fall."""
    core, _ = play(steps)
    times = [x.at_ms for x in map(decode_event, core.history) if isinstance(x, e.TurnStarted)]
    assert times == sorted(times)


@given(STEPS)
def test_the_same_life_is_the_same_bytes(steps: list[Step]) -> None:
    """Nothing but the arguments decides: the same messages and actions make the same commits."""
    assert [trace.commits for trace in play(steps)[1]] == [trace.commits for trace in play(steps)[1]]


@given(st.lists(CONTROL, min_size=1, max_size=6))
def test_suspended_means_the_last_word(control: list[e.Event]) -> None:
    """After any control without an end, the instance is suspended exactly if the last order about it said so."""
    core, _ = play([([], [a.ScheduleActivity(0, "pack")], None), (list(control), [], None)])
    orders = [x for x in control if isinstance(x, e.ExecutionSuspended | e.ExecutionResumed)]
    if any(isinstance(x, e.ExecutionTerminated) for x in control):
        assert core.live.state.status is Status.TERMINATED
    else:
        wanted = Hold.SUSPENDED if orders and isinstance(orders[-1], e.ExecutionSuspended) else Hold.NONE
        assert core.live.state.hold is wanted
