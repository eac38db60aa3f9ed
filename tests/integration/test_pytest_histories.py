"""Recorded histories as tests of pytest: by options, by settings, by a fixture, and in a plain test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenuto._replay import events as e
from tenuto._wire.history import WorkflowHistory, export_json, number_events

pytest_plugins = ["pytester"]

APP = """
import tenuto as wf
wfr = wf.WorkflowRuntime()

@wfr.activity
def charge(ctx, value): ...

@wfr.workflow
def order(ctx):
    return (yield ctx.call_activity(charge))
"""


def write(folder: Path, name: str, activity: str) -> None:
    """An exported history of `order`, which called some activity."""
    events: list[e.Event] = [
        e.TurnStarted(1_000),
        e.ExecutionStarted("order", name, "x"),
        e.ActivityScheduled(1, activity),
    ]
    folder.mkdir(exist_ok=True)
    history = WorkflowHistory(name, "x", number_events(events))
    (folder / f"{name}.json").write_text(export_json(history), encoding="utf-8")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with an app, and two histories of which it fits one."""
    pytester.makepyfile(shop=APP)
    write(pytester.path / "histories", "good", "charge")
    write(pytester.path / "histories", "bad", "ship")
    return pytester


def run(project: pytest.Pytester, *words: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "no:cacheprovider", *words)


def test_options_make_a_test_of_each_history(project: pytest.Pytester) -> None:
    """The failure is the report of the replay, without a line of this package."""
    ended = run(project, "--tenuto-histories", "histories", "--tenuto-app", "shop:wfr", "-v")
    ended.assert_outcomes(passed=1, failed=1)
    printed = ended.stdout.str()
    assert "histories/good.json::replay PASSED" in printed
    assert "UNEXPECTED_ACTIVITY: Workflow tried to call different activity than recorded" in printed
    assert "history of bad, workflow 'order' (" in printed
    failure = printed.partition("FAILURES")[2].partition("Captured")[0]
    assert "tenuto/testing" not in failure
    assert "raise_for_problem" not in failure


def test_settings_do_the_same(project: pytest.Pytester) -> None:
    """A project that names its histories and its app replays them with every run."""
    project.makeini("[pytest]\ntenuto_histories = histories\ntenuto_app = shop.py:wfr\n")
    project.makepyfile(test_other="def test_other(): pass")
    run(project).assert_outcomes(passed=2, failed=1)
    run(project, "-k", "good").assert_outcomes(passed=1, deselected=2)


def test_a_test_takes_each_history(project: pytest.Pytester) -> None:
    """`tenuto_history` is the path of each, and `assert_replays` fails with the report."""
    project.makepyfile(
        test_replay="""
        from shop import wfr
        from tenuto.testing.replay import assert_replays

        def test_replay(tenuto_history):
            assert_replays(wfr, tenuto_history)
        """
    )
    ended = run(project, "--tenuto-histories", "histories/*.json")
    ended.assert_outcomes(passed=1, failed=1)
    printed = ended.stdout.str()
    assert "FAILED test_replay.py::test_replay[bad]" in printed
    assert "UNEXPECTED_ACTIVITY" in printed
    assert "in run_suite" not in printed


def test_a_plain_test_perturbs(project: pytest.Pytester) -> None:
    """`assert_replays(..., perturb=True)` finds the module that holds the runtime, and imports it elsewhere."""
    project.makepyfile(
        test_replay="""
        import tenuto as wf
        from tenuto.testing.replay import assert_replays, histories_in

        wfr = wf.WorkflowRuntime()
        wfr.register_activity(lambda ctx, value: None, name="charge")

        @wfr.workflow
        def order(ctx):
            return (yield ctx.call_activity("charge", input=list(set("abcdefg"))))

        def test_replay():
            assert_replays(wfr, *histories_in("histories/good.json"))

        def test_perturbed():
            assert_replays(wfr, *histories_in("histories/good.json"), perturb=True)
        """
    )
    ended = run(project)
    ended.assert_outcomes(passed=1, failed=1)
    assert "UNSTABLE: the replay depends on its surroundings: hash-seed" in ended.stdout.str()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tenuto-histories", "nowhere", "--tenuto-app", "shop:wfr"], "there is no history at nowhere"),
        (["--tenuto-histories", "histories", "--tenuto-app", "nobody:wfr"], "there is no module 'nobody'"),
        (["--tenuto-histories", "histories", "--tenuto-app", "shop:charge"], "is a function, not a WorkflowRuntime"),
    ],
)
def test_wrong_names_end_the_run_with_a_sentence(project: pytest.Pytester, words: list[str], said: str) -> None:
    """What cannot be replayed at all is an error of usage, and no test passes for it."""
    ended = run(project, *words)
    assert ended.ret == pytest.ExitCode.USAGE_ERROR
    assert said in ended.stderr.str() + ended.stdout.str()


def test_pytest_without_histories_imports_nothing(project: pytest.Pytester) -> None:
    """A run that names no history does not import the package."""
    project.makepyfile(test_lazy="import sys\ndef test_lazy(): assert 'tenuto' not in sys.modules")
    run(project).assert_outcomes(passed=1)
