"""`tenuto replay`: files, samples from a live engine, and surroundings that should not matter and do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import tenuto as wf
import unsteady_app
from engines import BIN, EngineProcess, short_folder
from servers import wait_until
from tenuto._cli.exits import Exit
from tenuto._cli.main import main
from tenuto._replay import events as e
from tenuto._wire.history import WorkflowHistory, export_json, number_events

ROOT = Path(__file__).resolve().parents[2]
APP = f"{Path(unsteady_app.__file__)}:wfr"
SECONDS = 60  # until something is certainly wrong
Run = Callable[..., int]


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    """An engine on which every workflow of the app has ended."""
    with short_folder() as folder, EngineProcess(folder) as process:
        command = [str(BIN / "python"), "-m", "tenuto._cli.app_host", APP]
        served = subprocess.Popen(command, env=process.environment)
        try:
            with wf.WorkflowClient(engine=process.address) as client:
                names = [*unsteady_app.UNSTEADY, *unsteady_app.STEADY]
                for name in names:
                    client.schedule_new_workflow(name, instance_id=name)
                for name in names:
                    ended = client.wait_for_workflow_completion(name, timeout_in_seconds=SECONDS)
                    assert ended.runtime_status is wf.WorkflowStatus.COMPLETED, ended
            yield process
        finally:
            served.terminate()
            assert served.wait(SECONDS) == 0


@pytest.fixture(scope="module")
def histories(engine: EngineProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The histories of all of them, exported."""
    folder = tmp_path_factory.mktemp("histories")
    with wf.WorkflowClient(engine=engine.address) as client:
        for name in [*unsteady_app.UNSTEADY, *unsteady_app.STEADY]:
            (folder / f"{name}.json").write_text(export_json(client.get_workflow_history(name)), encoding="utf-8")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line here and gives its exit code; modules it imports are forgotten."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("shop", "unsteady_app"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def call(*words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["replay", *words])
        return int(ended.value.code or 0)

    return call


def names_found(history: dict[str, Any]) -> str:
    return ",".join(one["perturbation"] for one in history["perturbations"])


class TestPerturb:
    def test_each_dependence_is_found_and_named(
        self, histories: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every unsteady workflow fails for what it depends on and nothing else, and no steady one fails."""
        monkeypatch.chdir(ROOT)  # where one of them looks for a file
        words = [str(histories), "--app", APP, "--guard", "off", "--output", "json"]
        assert run(*words, "--perturb") == Exit.FAILED
        found = json.loads(capsys.readouterr().out)
        assert found["notes"] == []
        named = {one["instance_id"]: names_found(one) for one in found["histories"]}
        assert named == {**unsteady_app.UNSTEADY, **dict.fromkeys(unsteady_app.STEADY, "")}
        assert {one["instance_id"] for one in found["histories"] if one["ok"]} == set(unsteady_app.STEADY)

    def test_the_first_difference_is_shown_with_its_line(
        self, histories: Path, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The report holds place, both values, the likely reason and the page of the rule."""
        file = str(histories / "fan_out_over_a_set.json")
        assert run(file, "--app", APP, "--perturb", "--rounds", "5") == Exit.FAILED
        printed = capsys.readouterr().out
        lines = Path(unsteady_app.__file__).read_text(encoding="utf-8").splitlines()
        line = next(number for number, text in enumerate(lines, 1) if "for city in set(CITIES)])" in text)
        assert "with another PYTHONHASHSEED (" in printed
        assert f"activity 'note' (operation 1, at tests/unsteady_app.py:{line}), input" in printed
        assert "likely: the order of a set decides" in printed
        assert "tenuto explain TEN181" in printed

    def test_an_application_that_minds_its_surroundings_is_changed_after_its_import(
        self, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the import fails elsewhere, the rest is still tried, with a remark."""
        text = 'open("settings.ini").close()\n' + SHOP.format(value="__import__('os').getcwd()")
        (tmp_path / "shop.py").write_text(text, encoding="utf-8")
        (tmp_path / "settings.ini").write_text("")
        monkeypatch.chdir(tmp_path)
        assert run(history_file(tmp_path), "--app", "shop:wfr", "--perturb", "--output", "json") == Exit.FAILED
        found = json.loads(capsys.readouterr().out)
        assert names_found(found["histories"][0]) == "folder"
        assert any("cannot be imported with folder: FileNotFoundError" in note for note in found["notes"])

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ("[None for _ in iter(int, 1)]", "no answer within 3 s"),
            ("__import__('os')._exit(3)", "the process ended with code 3"),
        ],
    )
    def test_a_replay_that_does_not_end_is_given_up(
        self,
        *,
        tmp_path: Path,
        run: Run,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        value: str,
        said: str,
    ) -> None:
        """Code that hangs, or ends its process, is reported, and the other histories are replayed."""
        (tmp_path / "shop.py").write_text(SHOP.format(value=value), encoding="utf-8")
        files = [history_file(tmp_path), history_file(tmp_path, workflow="calm")]
        monkeypatch.chdir(tmp_path)
        assert run(*files, "--app", "shop.py:wfr", "--perturb", "--timeout", "3s", "--output", "json") == Exit.FAILED
        found = json.loads(capsys.readouterr().out)
        assert found["notes"] == []
        hanging, calm = found["histories"]
        assert hanging["problem"]["kind"] == "HANGS"
        assert said in hanging["problem"]["text"]
        assert calm["ok"]

    def test_an_interrupt_ends_a_check_with_its_processes(self, tmp_path: Path) -> None:
        """Ctrl-C does not wait for replays that hang, and leaves no process behind."""
        text = "import os\nwith open('pids', 'a') as f: f.write(f'{os.getpid()}\\n')\n"
        (tmp_path / "shop.py").write_text(text + SHOP.format(value="[1 for _ in iter(int, 1)]"), encoding="utf-8")
        words = [
            "replay",
            history_file(tmp_path),
            "--app",
            "shop.py:wfr",
            "--perturb",
            "--jobs",
            "2",
            "--timeout",
            "1h",
        ]
        # A test run in the background of a shell has SIGINT ignored, and so would the command.
        process = subprocess.Popen(
            [str(BIN / "tenuto"), *words],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no thread holds a lock
        )
        pids = tmp_path / "pids"
        # The command itself imports the application first, then two processes do.
        wait_until(lambda: pids.exists() and pids.read_text().count("\n") == 3, "the application is imported")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)
        assert process.returncode != 0
        assert not any(psutil.pid_exists(int(pid)) for pid in pids.read_text().split())


SHOP = """
import tenuto as wf
wfr = wf.WorkflowRuntime()

@wfr.workflow
def order(ctx):
    yield ctx.call_activity("charge", input={value})

@wfr.workflow
def calm(ctx):
    yield ctx.call_activity("charge")
"""


def history_file(folder: Path, workflow: str = "order") -> str:
    """An exported history with one call of `charge`."""
    events: list[e.Event] = [
        e.TurnStarted(1_000),
        e.ExecutionStarted(workflow, workflow, "x"),
        e.ActivityScheduled(1, "charge"),
    ]
    path = folder / f"{workflow}.json"
    path.write_text(export_json(WorkflowHistory(workflow, "x", number_events(events))), encoding="utf-8")
    return str(path)


class TestFiles:
    def test_code_that_fits_ends_with_0(self, histories: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        """One line for each history, a summary by workflow, and how many there were."""
        files = [str(histories / f"{name}.json") for name in unsteady_app.STEADY]
        assert run(*files, "--app", APP, "--check-inputs", "--guard", "off") == Exit.OK
        lines = capsys.readouterr().out.splitlines()
        assert sum(line.startswith("ok ") for line in lines) == len(files)
        assert lines[-1] == f"{len(files)} histories: the code fits all of them"

    def test_changed_code_ends_with_1_and_the_report(
        self, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The report is what a worker would say of the same history."""
        (tmp_path / "shop.py").write_text(SHOP.replace('"charge", input', '"ship", input').format(value="1"))
        history_file(tmp_path)
        history_file(tmp_path, "calm")
        assert run(f"{tmp_path}/*.json", "--app", f"{tmp_path}/shop.py:wfr") == Exit.FAILED
        printed = capsys.readouterr().out
        assert "UNEXPECTED_ACTIVITY: Workflow tried to call different activity than recorded" in printed
        assert printed.rstrip().endswith("2 histories: the code does not fit 1")

    def test_a_history_that_cannot_be_read_is_counted_apart(
        self, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Nobody is told that the code does not fit a file that is no history; lines stay short in a build's log."""
        (tmp_path / "shop.py").write_text(SHOP.replace('"charge", input', '"ship", input').format(value="1"))
        history_file(tmp_path)
        (tmp_path / "broken.json").write_text("{")
        assert run(f"{tmp_path}/broken.json", "--app", f"{tmp_path}/shop.py:wfr") == Exit.USAGE
        printed = capsys.readouterr().out
        assert printed.rstrip().endswith("1 history: 1 could not be read")
        assert max(len(line) for line in printed.splitlines() if "─" in line) <= 100
        assert run(f"{tmp_path}/*.json", "--app", f"{tmp_path}/shop.py:wfr") == Exit.FAILED
        assert capsys.readouterr().out.rstrip().endswith("2 histories: the code does not fit 1, 1 could not be read")

    def test_the_guard_refuses_what_the_code_must_not_call(
        self, histories: Path, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """By default a call of a clock is the history's problem, though its operations are the recorded ones."""
        file = str(histories / "seconds_now.json")
        assert run(file, "--app", APP) == Exit.FAILED
        printed = capsys.readouterr().out
        assert "GUARD_REFUSED" in printed
        assert "time.time()" in printed
        assert run(file, "--app", APP, "--guard", "off") == Exit.OK

    def test_what_the_application_prints_is_not_the_result(
        self, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A script reads one JSON value, whatever is printed at the import or by the workflow, here or elsewhere."""
        text = "print('imported')\n" + SHOP.format(value="print('asked')")
        (tmp_path / "shop.py").write_text(text, encoding="utf-8")
        words = [history_file(tmp_path), "--app", f"{tmp_path}/shop.py:wfr", "--guard", "off", "--output", "json"]
        assert run(*words, "--perturb", "--rounds", "1") == Exit.OK
        captured = capsys.readouterr()
        assert json.loads(captured.out)["ok"]
        assert "asked" in captured.err

    def test_wrong_usage_ends_with_2(self, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        """A missing place, code that cannot be imported, and a file that is no history, each with its sentence."""
        (tmp_path / "bad.json").write_text("[]")
        (tmp_path / "shop.py").write_text("raise RuntimeError('no config')")
        file, app = history_file(tmp_path), f"{tmp_path}/shop.py:wfr"
        for words, said in [
            (["--app", APP], "--sample N"),
            ([f"{tmp_path}/no.json", "--app", APP], "there is no history at"),
            ([file, "--app", app], "RuntimeError: no config"),
            ([file, "--app", "shop"], "is not of the form module:runtime"),
            ([file, "--app", f"{Path(unsteady_app.__file__)}:note"], "is a function, not a WorkflowRuntime"),
            ([f"{tmp_path}/bad.json", "--app", APP], "holds no object"),
        ]:
            assert run(*words) == Exit.USAGE, words
            captured = capsys.readouterr()
            assert said in captured.out + captured.err


class TestSample:
    def test_a_sample_is_taken_from_each_workflow(
        self, engine: EngineProcess, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`--sample N` takes up to N histories in turns between workflows, and `--save` keeps them for later."""
        words = ["--app", APP, "--engine", engine.address, "--output", "json"]
        run("--sample", "5", "--save", str(tmp_path / "kept"), *words)
        found = json.loads(capsys.readouterr().out)["histories"]
        assert len({one["workflow"] for one in found}) == 5
        saved = sorted((tmp_path / "kept").iterdir())
        assert {one["source"] for one in found} == {str(path) for path in saved}
        assert run("--sample", "9", "--workflow", "checksum", "--status", "completed", *words) == Exit.OK
        found = json.loads(capsys.readouterr().out)["histories"]
        assert [one["instance_id"] for one in found] == ["checksum"]

    def test_nothing_to_sample_is_an_exit_code(
        self, engine: EngineProcess, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """No such instance ends with 3, no engine with 4: a check that checked nothing does not pass."""
        words = ["--sample", "3", "--app", APP, "--engine"]
        for filters in (["--workflow", "nobody"], ["--status", "running"], ["--version", "v9"]):
            assert run(*words, engine.address, *filters) == Exit.NOT_FOUND
        assert run(*words, "127.0.0.1:1") == Exit.UNAVAILABLE
        assert "no such instance with a history" in capsys.readouterr().err
