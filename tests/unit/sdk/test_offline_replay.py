"""Recorded histories against other code, without an engine: what is found, and what is left alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

import tenuto as wf
from replay_world import World, registry_of
from tenuto._offline import perturbations, transcripts
from tenuto._payloads import Payloads
from tenuto._replay import actions as a
from tenuto._replay import events as e
from tenuto._replay.executor import Executor
from tenuto._wire.history import UnknownEvent, WorkflowHistory, export_json, number_events
from tenuto.testing.replay import ProblemKind, Replayer, ReplayFailed, ReplayResult, assert_replays, histories_in

Function = Callable[..., Any]


def one(ctx: wf.WorkflowActivityContext, value: Any) -> int:
    return 1


def two(ctx: wf.WorkflowActivityContext, value: Any) -> int:
    return 2


def runtime_of(*workflows: Function, codec: wf.PayloadCodec | None = None) -> wf.WorkflowRuntime:
    """A runtime that calls its first workflow "w"."""
    runtime = wf.WorkflowRuntime(payload_codec=codec)
    for workflow in workflows:
        runtime.register_workflow(workflow, name="w")
    for activity in (one, two):
        runtime.register_activity(activity)
    return runtime


def history_of(events: list[e.Event], *, is_decoded: bool = False) -> WorkflowHistory:
    return WorkflowHistory("i", "x", number_events(events), is_decoded=is_decoded)


def recorded(workflow: Function, *values: Any, payload: Any = None) -> WorkflowHistory:
    """The history that a workflow writes whose operations complete one after another with `values`."""
    world = World(registry_of(workflow, one, two), payload)
    for number, value in enumerate(values, 1):
        world.complete(number, value)
    return history_of(world.history)


def replayed(history: WorkflowHistory, changed: Function, **options: Any) -> ReplayResult:
    return Replayer(runtime_of(changed), **options).replay(history)


def original(ctx: wf.WorkflowContext) -> Any:
    first = yield ctx.call_activity(one, input={"a": 1, "b": 2})
    second = yield ctx.call_activity(two, input=first)
    return first + second


def kind_of(result: ReplayResult) -> ProblemKind | None:
    return None if result.problem is None else result.problem.kind


class TestFits:
    def test_code_fits_the_history_it_wrote(self) -> None:
        """Open or ended, its own history is no problem, and the result says what was replayed."""
        ended = replayed(recorded(original, 3, 4), original, check_inputs=True)
        assert ended.is_ok
        assert (ended.instance_id, ended.workflow, ended.event_count, ended.turn_count) == ("i", "w", 9, 3)
        assert not ended.is_open
        assert [entry.kind for entry in ended.transcript] == ["activity", "activity", "result"]
        assert ended.notes == ()
        ended.raise_for_problem()
        assert replayed(recorded(original, 3), original).is_open

    def test_new_work_behind_history_is_a_remark(self) -> None:
        """What the code asks for where history ends is new work, and is named."""

        def longer(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(one)
            ctx.call_activity(two)
            yield ctx.wait_for_external_event("go")
            yield ctx.create_timer(timedelta(hours=1))

        result = replayed(recorded(original, 3), longer)
        assert result.is_ok
        assert result.notes == ()
        world = World(registry_of(original, one, two))
        result = replayed(history_of([*world.history, e.TurnStarted(2_000), e.ActivityCompleted(1, b"3")]), longer)
        assert result.is_ok
        assert "behind history the code asks for more, as new work: activity 'two' (operation 2" in result.notes[0]

    def test_a_last_turn_recorded_in_part_is_no_difference(self) -> None:
        """A turn too large for one commit may end anywhere."""

        def wide(ctx: wf.WorkflowContext) -> Any:
            yield wf.when_all([ctx.call_activity(one, input=number) for number in range(5)])

        whole = recorded(wide)
        part = history_of([item.event for item in whole if not isinstance(item.event, UnknownEvent)][:-3])
        result = replayed(part, wide)
        assert result.is_ok
        assert result.notes[0].count("activity 'one'") == 3

    def test_recorded_patches_keep_their_branches(self) -> None:
        """A patch answers as history says, also while the code is told that it runs for the first time."""

        def patched(ctx: wf.WorkflowContext) -> Any:
            if ctx.is_patched("faster"):
                return (yield ctx.call_activity(two))
            first = yield ctx.call_activity(one, input={"a": 1, "b": 2})
            second = yield ctx.call_activity(two, input=first)
            return first + second

        assert replayed(recorded(original, 3, 4), patched).is_ok
        assert replayed(recorded(patched, 5), patched).is_ok

    def test_what_was_ended_from_outside_only_has_to_wait(self) -> None:
        """A terminated instance, or one ended by a limit, fits code that would go on."""
        begun = [item.event for item in recorded(original) if not isinstance(item.event, UnknownEvent)]
        limit = e.ExecutionFailed(0, e.Failure("LimitExceeded", "too much"))
        for last in (e.ExecutionTerminated(), limit):
            result = replayed(history_of([*begun, e.TurnStarted(2_000), last]), original)
            assert result.is_ok
            assert not result.is_open

    def test_a_status_may_depend_on_replaying(self) -> None:
        """Custom statuses leave no record, so they are not compared between replay and first time."""

        def shows(ctx: wf.WorkflowContext) -> Any:
            if not ctx.is_replaying:
                ctx.set_custom_status("fresh")
            yield ctx.call_activity(one)

        assert replayed(recorded(shows), shows).is_ok


class TestDiffers:
    def test_operations_that_differ_are_shown_as_a_worker_shows_them(self) -> None:
        """Kind and text of the problem are those of the error with which the instance would stall."""

        def renamed(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(two)

        def ends(ctx: wf.WorkflowContext) -> Any:
            return 7

        def goes_on(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(one)
            yield ctx.call_activity(two)
            yield ctx.wait_for_external_event("go")

        for changed, kind in [
            (renamed, ProblemKind.UNEXPECTED_ACTIVITY),
            (ends, ProblemKind.NON_DETERMINISTIC),
            (goes_on, ProblemKind.NON_DETERMINISTIC),
        ]:
            world = World(registry_of(original, one, two))
            world.complete(1, 3)
            world.complete(2, 4)
            registry, _, _, investigator = runtime_of(changed).parts()
            executor = Executor("i", "x", definitions=registry, payloads=Payloads(), investigator=investigator)
            result = replayed(history_of(world.history), changed)
            assert kind_of(result) is kind
            assert result.problem is not None
            assert result.problem.text == str(executor.run(world.history, []).problem)

    def test_code_that_ended_before_history_did(self) -> None:
        """An event that arrived after the end is one that the recorded code still waited for."""

        def ends(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(one)

        def waits(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(one)
            yield ctx.wait_for_external_event("go")
            yield ctx.wait_for_external_event("go")

        world = World(registry_of(waits, one, two))
        world.complete(1, 3)
        world.turn(e.EventRaised("go"))
        result = replayed(history_of(world.history), ends)
        assert kind_of(result) is ProblemKind.NON_DETERMINISTIC
        assert "history goes on without it" in result.report()

    def test_workflows_that_are_gone(self) -> None:
        """A history of a workflow that nobody registered names it."""
        result = Replayer(runtime_of()).replay(recorded(original))
        assert kind_of(result) is ProblemKind.NOT_REGISTERED
        assert "no workflow named 'w' is registered" in result.report()

    def test_another_result_is_a_difference_unless_waived(self) -> None:
        """Of an execution that has ended, the result or the failure is compared too."""

        def doubled(ctx: wf.WorkflowContext) -> Any:
            first = yield ctx.call_activity(one)
            second = yield ctx.call_activity(two)
            return 2 * (first + second)

        result = replayed(recorded(original, 3, 4), doubled)
        assert kind_of(result) is ProblemKind.RESULT_DIFFERS
        assert "recorded: 7\n  now:      14" in result.report()
        assert replayed(recorded(original, 3, 4), doubled, check_results=False).is_ok

        def broken(text: str) -> Function:
            def raises(ctx: wf.WorkflowContext) -> Any:
                raise ValueError(text)

            return raises

        assert replayed(recorded(broken("a")), broken("a")).is_ok
        assert "message\n  recorded: a\n  now:      b" in replayed(recorded(broken("a")), broken("b")).report()

    def test_other_inputs_are_a_difference_where_asked_for(self) -> None:
        """Inputs, ids of children and times of timers are compared on demand, with the line that gives them now."""

        def other(ctx: wf.WorkflowContext) -> Any:
            first = yield ctx.call_activity(one, input={"b": 2, "a": 1})
            second = yield ctx.call_activity(two, input=first)
            return first + second

        assert replayed(recorded(original, 3, 4), other).is_ok
        result = replayed(recorded(original, 3, 4), other, check_inputs=True)
        assert kind_of(result) is ProblemKind.INPUT_DIFFERS
        assert result.problem is not None
        assert result.problem.operation == 1
        assert "test_offline_replay.py" in result.report()
        assert "they differ only in the order of keys" in result.report()

        rerun = recorded(original, 3, 4)
        items = [item.event for item in rerun if not isinstance(item.event, UnknownEvent)]
        assert replayed(history_of([*items, e.RerunStarted("source", 1)]), other, check_inputs=True).is_ok

        def sleeps(seconds: int, child: str) -> Function:
            def workflow(ctx: wf.WorkflowContext) -> Any:
                ctx.create_timer(timedelta(seconds=seconds))
                yield ctx.call_child_workflow("c", instance_id=child)

            return workflow

        assert "due (ms)" in replayed(recorded(sleeps(1, "c")), sleeps(2, "c"), check_inputs=True).report()
        assert "instance id" in replayed(recorded(sleeps(1, "c")), sleeps(1, "d"), check_inputs=True).report()


@dataclass
class Order:
    """An input with a field that old recordings lack."""

    item: str
    size: int


class TestPayloads:
    def test_an_input_that_no_longer_fits(self) -> None:
        """The problem names the payload rather than the failure that follows from it."""

        def untyped(ctx: wf.WorkflowContext, order: Any) -> Any:
            yield ctx.call_activity(one, input=order)

        def typed(ctx: wf.WorkflowContext, order: Order) -> Any:
            yield ctx.call_activity(one, input=order)

        result = replayed(recorded(untyped, payload={"item": "tea"}), typed)
        assert kind_of(result) is ProblemKind.PAYLOAD_REFUSED
        assert "the input of workflow 'w' does not fit" in result.report()
        assert "missing required field `size`" in result.report()

    def test_a_result_that_no_longer_fits(self) -> None:
        """Also at the very end of an open history, where the failure would only be new work."""

        def untyped(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity("one", result_type=object)
            yield ctx.wait_for_external_event("go")

        def typed(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity("one", result_type=Order)
            yield ctx.wait_for_external_event("go")

        result = replayed(recorded(untyped, 3), typed)
        assert kind_of(result) is ProblemKind.PAYLOAD_REFUSED
        assert "result of activity 'one'" in result.report()

        def tolerant(ctx: wf.WorkflowContext) -> Any:
            try:
                yield ctx.call_activity("one", result_type=Order)
            except wf.PayloadError:
                yield ctx.wait_for_external_event("go")

        result = replayed(recorded(untyped, 3), tolerant)
        assert result.is_ok
        assert "a recorded payload did not fit, and the code went on" in result.notes[0]

    def test_the_runtimes_codec_reads_recorded_payloads(self) -> None:
        """Encrypted histories are replayed through the codec, decoded ones are not decoded twice."""

        def echo(ctx: wf.WorkflowContext, text: str) -> Any:
            return (yield ctx.call_activity(one, input=text))

        numbers = itertools.count()

        class Codec:
            """Bytes that are other ones each time."""

            def encode(self, data: bytes) -> bytes:
                return b"%d:" % next(numbers) + data[::-1]

            def decode(self, data: bytes) -> bytes:
                head, colon, body = data.partition(b":")
                assert colon
                assert head.isdigit()
                return body[::-1]

        plain = [item.event for item in recorded(echo, 3, payload="hi") if not isinstance(item.event, UnknownEvent)]
        codec = Codec()
        sealed: list[e.Event] = [
            e.TurnStarted(1_000),
            e.ExecutionStarted("w", "i", "x", codec.encode(b'"hi"')),
            e.ActivityScheduled(1, "one", codec.encode(b'"hi"')),
            e.TurnStarted(1_001),
            e.ActivityCompleted(1, codec.encode(b"3")),
            e.ExecutionCompleted(2, codec.encode(b"3")),
        ]
        replayer = Replayer(runtime_of(echo, codec=codec), check_inputs=True)
        for history in (history_of(sealed), history_of(plain, is_decoded=True)):
            assert replayer.replay(history).is_ok, replayer.replay(history).report()
        assert Replayer(runtime_of(echo), payload_codec=codec, check_inputs=True).replay(history_of(sealed)).is_ok
        assert kind_of(Replayer(runtime_of(echo)).replay(history_of(sealed))) is ProblemKind.PAYLOAD_REFUSED


class TestUnsteady:
    def test_code_that_fails_where_the_recorded_code_waits(self) -> None:
        """An open instance that would fail with its next turn is a problem, with the line that raises."""

        def waits(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(one)
            yield ctx.wait_for_external_event("go")

        def raises(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(one)
            raise ValueError("broken")

        result = replayed(recorded(waits, 3), raises)
        assert kind_of(result) is ProblemKind.FAILS_NOW
        assert 'raise ValueError("broken")' in result.report()

    def test_code_that_does_more_for_the_first_time_than_replaying(self) -> None:
        """What a branch on `ctx.is_replaying` would write is found in a history that does not hold it yet."""

        def honest(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(one)
            return 1

        def shy(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(one)
            if not ctx.is_replaying:
                yield ctx.call_activity(two)
            return 1

        result = replayed(recorded(honest, 3), shy)
        assert kind_of(result) is ProblemKind.BRANCHES_ON_REPLAY
        assert "first time: activity 'two' (operation 2" in result.report()

    def test_code_that_differs_from_replay_to_replay(self) -> None:
        """State that outlives the workflow is told from a branch on `ctx.is_replaying`."""
        numbers = itertools.count()

        def counts(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(one, input=next(numbers))

        result = replayed(recorded(counts), counts)
        assert kind_of(result) is ProblemKind.UNSTABLE
        assert "two replays, one after another, ask for different things" in result.report()


class TestSources:
    def test_what_cannot_be_read_is_a_result(self, tmp_path: Path) -> None:
        """A broken file, an event of the future and a history without a start raise nothing."""
        (tmp_path / "bad.json").write_text("{")
        replayer = Replayer(runtime_of(original))
        future = WorkflowHistory("i", "x", number_events([e.TurnStarted(1), UnknownEvent(99, [])]))
        results = list(
            replayer.replay_all([tmp_path / "bad.json", str(tmp_path / "no.json"), "{}", future, history_of([])])
        )
        assert {kind_of(result) for result in results} == {ProblemKind.UNREADABLE}
        assert "bad.json is not JSON: line 1" in results[0].report()
        assert "history-000001 is of a type that this release does not know" in results[3].report()

    def test_assert_replays_reports_all_that_fail(self, tmp_path: Path) -> None:
        """One call names each history that the code does not fit, by its file."""

        def renamed(ctx: wf.WorkflowContext) -> Any:
            yield ctx.call_activity(two)

        for name in "ab":
            (tmp_path / f"{name}.json").write_text(export_json(recorded(original, 3)))
        assert_replays(runtime_of(original), *histories_in(tmp_path))
        with pytest.raises(ReplayFailed) as failed:
            assert_replays(runtime_of(renamed), *histories_in(tmp_path))
        assert isinstance(failed.value, AssertionError)
        for name in "ab":
            assert f"workflow 'w' ({tmp_path}/{name}.json)" in str(failed.value)
        with pytest.raises(ReplayFailed, match="UNEXPECTED_ACTIVITY"):
            Replayer(runtime_of(renamed)).replay(tmp_path / "a.json").raise_for_problem()
        with pytest.raises(ValueError, match="at least one history"):
            assert_replays(runtime_of(original))
        with pytest.raises(ValueError, match="there is no history at"):
            histories_in(tmp_path / "nowhere")
        with pytest.raises(ValueError, match="no module holds this runtime"):
            assert_replays(runtime_of(original), recorded(original), perturb=True)

    def test_a_result_is_json(self) -> None:
        """Programs read the same as people."""
        value = Replayer(runtime_of()).replay(recorded(original)).to_json()
        assert (value["instance_id"], value["ok"], value["problem"]["kind"]) == ("i", False, "NOT_REGISTERED")


def test_every_rule_that_a_report_names_has_its_page() -> None:
    """`tenuto explain` knows what a finding points to."""
    rules = pytest.importorskip("tenuto._lint.rules").__path__
    known = {path.stem.partition("_")[0].upper() for path in Path(rules[0]).glob("ten*.md")}
    own = [one for one in vars(perturbations).values() if isinstance(one, perturbations.Perturbation)]
    assert {rule for one in own for rule in one.rules} | {"TEN231", "TEN285"} <= known


def test_every_action_has_its_entry() -> None:
    """A transcript leaves nothing out that code can ask for."""
    assert set(transcripts._ENTRIES) == set(get_args(a.Action))
