"""`tenuto lint`: options, formats, exit codes, configuration."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lint.sources import write
from tenuto._cli.main import main as main_of_all
from tenuto._cli.start import main

FLOW = """
import uuid
import time


def order(ctx, item):
    began = time.time()
    print(began)
    yield ctx.call_activity("ship", input=str(uuid.uuid4()))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one workflow, which is the working directory."""
    write(tmp_path, {"flow.py": FLOW})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of one command."""
    with pytest.raises(SystemExit) as ended:
        main(["lint", *words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_findings_explain_themselves(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text shows the place, its source with carets, why, what breaks on replay, what to write, and the fix."""
    code, out, _ = run(capsys, "flow.py")
    assert code == 1
    assert "flow.py:6:13 error TEN102 clock-reading: time.time() reads a clock of the machine" in out
    assert "     6 │     began = time.time()\n       │             ^^^^^^^^^^^\n" in out
    for label in (
        "  why     ",
        "  replay  ",
        "  instead ",
        "  fix     replace by ctx.current_utc_datetime.timestamp() (--fix)",
    ):
        assert label in out
    assert out.endswith("2 errors in 1 file; --fix mends 2\n")
    assert "\x1b" not in out


def test_json_is_a_list_of_findings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--output json` writes a list with path, line, column, rule, message and fix of each, and nothing else."""
    code, out, _ = run(capsys, "--output", "json")
    first, second = json.loads(out)
    assert code == 1
    assert {key: first[key] for key in ("path", "line", "column", "end_line", "end_column", "rule", "severity")} == {
        "path": "flow.py",
        "line": 6,
        "column": 13,
        "end_line": 6,
        "end_column": 24,
        "rule": "TEN102",
        "severity": "error",
    }
    assert first["message"] == "time.time() reads a clock of the machine"
    assert first["chain"] == ["flow.py:6 order"]
    assert second["fix"]["title"] == "replace by ctx.new_uuid()"
    assert second["column"] == 47
    edit = {"line": 8, "column": 47, "end_line": 8, "end_column": 59, "text": "ctx.new_uuid()"}
    assert second["fix"]["edits"] == [edit], "columns of edits count from 1, as those of findings do"
    assert run(capsys, "--ignore", "TEN1", "--output", "json")[1] == "[]\n"


def test_exit_codes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 where nothing was found, 1 where something was, 2 for wrong usage."""
    assert run(capsys, "--ignore", "TEN102,TEN124")[0] == 0
    assert run(capsys)[0] == 1
    assert run(capsys, "no_such_file.py")[0] == 2
    assert run(capsys, "--no-such-option")[0] == 2


def test_the_level_that_fails_can_be_chosen(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Findings below `--severity` are shown, and do not fail the run."""
    only_print = ("--select", "TEN152", "--ignore", "TEN102,TEN124")
    assert run(capsys, *only_print)[0] == 1
    code, out, _ = run(capsys, *only_print, "--severity", "error")
    assert code == 0
    assert "TEN152" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--select", "TN101"), "--select: there is no rule 'TN101'; did you mean 'TEN101'?"),
        (("--ignore", "XYZ"), "--ignore: there is no rule 'XYZ'"),
        (("--profile", "lax"), "--profile: there is no profile 'lax'; known are core, strict, pedantic"),
        (("--severity", "bad"), "--severity: there is no severity 'bad'; known are error, warning, info"),
        (("nowhere",), "there is no file or folder 'nowhere'"),
    ],
)
def test_wrong_usage_is_a_sentence(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    """What does not exist is named, with what was probably meant."""
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert sentence in err


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('profil = "strict"', "tool.tenuto.lint: there is no setting 'profil'; did you mean 'profile'?"),
        ('select = ["TEN999"]', "tool.tenuto.lint.select: there is no rule 'TEN999'"),
        ('select = "TEN101"', "tool.tenuto.lint.select must be a list of texts"),
        ('severity = {TEN101 = "fatal"}', "there is no severity 'fatal'; known are error, warning, info"),
        ('names = {TEN126 = ["my.hash"]}', "rule TEN126 takes no names"),
        ('per-file-ignores = {"a.py" = ["TENX"]}', "there is no rule 'TENX'"),
        ("profile = ", "cannot be read"),
    ],
)
def test_wrong_configuration_is_a_sentence(
    project: Path, capsys: pytest.CaptureFixture[str], settings: str, sentence: str
) -> None:
    """A setting or rule that does not exist is an error that names the file, the setting and the closest name."""
    write(project, {"pyproject.toml": f"[tool.tenuto.lint]\n{settings}\n"})
    code, _, err = run(capsys)
    assert code == 2
    assert "pyproject.toml" in err
    assert sentence in err


def test_configuration_holds(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Profile, severities, ignores per file, exclusions and own clocks are read from the nearest pyproject.toml."""
    write(
        project,
        {
            "pyproject.toml": """
            [tool.tenuto.lint]
            profile = "strict"
            ignore = ["TEN124"]
            exclude = ["generated", "skipped_*.py"]
            severity = { TEN152 = "info" }

            [tool.tenuto.lint.per-file-ignores]
            "old/*.py" = ["TEN1"]

            [tool.tenuto.lint.names]
            TEN101 = ["shop.clock.now"]
            """,
            "old/flow.py": FLOW,
            "generated/flow.py": FLOW,
            "skipped_flow.py": FLOW,
            "own.py": "from shop import clock\n\ndef own(ctx):\n    yield ctx.call_activity(clock.now())\n",
        },
    )
    _, out, _ = run(capsys, "--output", "json")
    assert [(one["path"], one["rule"], one["severity"]) for one in json.loads(out)] == [
        ("flow.py", "TEN102", "error"),
        ("flow.py", "TEN152", "info"),
        ("own.py", "TEN101", "error"),
    ]


def test_globs_are_seen_from_the_configuration(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder below, and for files that are named, the same is excluded and ignored as from the root."""
    write(
        project,
        {
            "pyproject.toml": """
            [tool.tenuto.lint]
            exclude = ["old/generated"]
            per-file-ignores = { "old/*.py" = ["TEN102"] }
            """,
            "old/flow.py": FLOW,
            "old/generated/flow.py": FLOW,
        },
    )
    monkeypatch.chdir(project / "old")
    for words in ((), (".", "flow.py", "generated/flow.py")):
        _, out, _ = run(capsys, *words, "--output", "json")
        assert [(one["path"], one["rule"]) for one in json.loads(out)] == [("flow.py", "TEN124")]


def test_installed_and_built_code_is_left_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Environments, hidden folders and build results are not linted; a package that is called `build` is."""
    left_out = ("venv/lib", ".tox", "build/lib", "node_modules", "lib/site-packages")
    write(project, {f"{folder}/flow.py": FLOW for folder in left_out})
    write(project, {"venv/pyvenv.cfg": "", "flow.py": "", "src/build/__init__.py": "", "src/build/flow.py": FLOW})
    _, out, _ = run(capsys, "--output", "json")
    assert {one["path"] for one in json.loads(out)} == {"src/build/flow.py"}


def test_statistics_count_by_rule(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--statistics` adds a line per rule."""
    assert "     1  TEN102 clock-reading\n     1  TEN124 random-id\n" in run(capsys, "--statistics")[1]


def test_fix_mends_and_keeps_the_rest(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--fix` rewrites what is safe, keeps everything else to the byte, and has nothing left to do the second time."""
    path = project / "flow.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").replace(b"time.time()", "time.time()  # ä".encode()))
    code, out, err = run(capsys, "--fix", "--select", "TEN152")
    assert code == 0
    assert "nothing found" in out
    assert "mended 3 findings" in err
    text = path.read_bytes().decode()
    assert "    began = ctx.current_utc_datetime.timestamp()  # ä\r\n    ctx.logger.info(began)\r\n" in text
    assert "str(ctx.new_uuid())" in text
    before = path.read_bytes()
    run(capsys, "--fix")
    assert path.read_bytes() == before


def test_fix_leaves_a_file_of_another_encoding_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--fix` mends the other files, tells of the one that Python would not import, and never a traceback."""
    odd = project / "odd.py"
    odd.write_bytes(b"# caf\xe9\n" + FLOW.encode())
    before = odd.read_bytes()
    code, out, err = run(capsys, "--fix")
    assert code == 1
    assert "odd.py:1:6 error TEN000 no-python" in out
    assert "mended 2 findings" in err
    assert odd.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "is_safe"),
    [
        ("late = datetime.now() > due", False),
        ("late = due < datetime.utcnow() - timedelta(days=1)", False),
        ("left = due - datetime.now()", False),
        ("at = datetime.now(); late = at > due", False),
        ("at = max(due, datetime.now())", False),
        ("at = datetime.now(); at = at", True),
        ("at = datetime.now() - timedelta(days=1)", True),
        ("late = datetime.now().hour > 18", True),
        ("late = datetime.now(timezone.utc) > due", True),
        ("late = date.today() > due", True),
        ("at = datetime.now(tz=None).isoformat()", True),
    ],
)
def test_a_clock_that_meets_another_moment_is_not_mended_unasked(
    project: Path, capsys: pytest.CaptureFixture[str], line: str, is_safe: bool
) -> None:
    """`--fix` never makes code compare an aware time with a naive one, which raises TypeError; it shows the fix."""
    write(
        project,
        {
            "flow.py": f"""
            from datetime import date, datetime, timedelta, timezone

            def order(ctx, due):
                {line}
                yield ctx.call_activity("ship")
            """
        },
    )
    (found,) = [one for one in json.loads(run(capsys, "--output", "json")[1]) if one["rule"] == "TEN101"]
    assert found["fix"]["is_safe"] is is_safe
    assert "astimezone" not in found["fix"]["title"]


def test_fix_leaves_files_alone_that_it_was_not_given(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A helper beyond the paths is reported with its chain, and stays as it is; modes of files stay, too."""
    write(
        project,
        {
            "flow.py": """
                from steps import step

                def flow(ctx):
                    yield from step(ctx)
                    yield ctx.is_patched('x')
                """,
            "steps.py": "import time\n\ndef step(ctx):\n    time.time()\n    yield ctx.create_timer(1)\n",
        },
    )
    steps = project / "steps.py"
    before = steps.read_bytes()
    assert run(capsys, "flow.py", "--fix", "--select", "TEN102", "--ignore", "TEN2")[0] == 1
    assert steps.read_bytes() == before
    steps.chmod(0o750)
    assert run(capsys, "steps.py", "--fix", "--ignore", "TEN2")[0] == 0
    assert steps.read_bytes() == before.replace(b"time.time()", b"ctx.current_utc_datetime.timestamp()")
    assert steps.stat().st_mode & 0o777 == 0o750
    assert [path.name for path in project.iterdir() if "steps" in path.name] == ["steps.py"]


def test_a_file_that_cannot_be_written_is_told(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finding stays, the file too, and the reason is a sentence."""

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    before = (project / "flow.py").read_bytes()
    code, _, err = run(capsys, "--fix", "--no-cache")
    assert code == 1
    assert "flow.py cannot be written: Permission denied" in err
    assert (project / "flow.py").read_bytes() == before
    assert sorted(path.name for path in project.iterdir()) == ["flow.py", "pyproject.toml"]


def test_diff_changes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--diff` shows what `--fix` would do, and fails where it would do something."""
    before = (project / "flow.py").read_bytes()
    code, out, _ = run(capsys, "--diff")
    assert code == 1
    assert "-    began = time.time()\n+    began = ctx.current_utc_datetime.timestamp()\n" in out
    assert (project / "flow.py").read_bytes() == before
    run(capsys, "--fix")
    assert run(capsys, "--diff")[:2] == (0, "")


def test_standard_input_is_a_file(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` reads a module from standard input; with `--fix` the mended text goes to standard output."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(FLOW.encode())))
    code, out, _ = run(capsys, "-")
    assert code == 1
    assert "<stdin>:7:13 error TEN102" in out
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(FLOW.encode())))
    code, out, err = run(capsys, "-", "--fix")
    assert code == 0
    assert out == FLOW.replace("time.time()", "ctx.current_utc_datetime.timestamp()").replace(
        "uuid.uuid4()", "ctx.new_uuid()"
    )
    assert "nothing found" in err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"def broken(:\n", "the file is no Python: invalid syntax"),
        (b"x = '\x00'\n", "the file is no Python"),
        (b"x = '\xff\xfe'\n", "the file is no Python"),
        (
            b"# ctx\n# caf\xe9\n",
            "the file is no Python: byte 0xe9 is no utf-8; save it as UTF-8, or declare its encoding",
        ),
        (b"x = " + b"(" * 2000 + b"1" + b")" * 2000, "the file is"),
        (b"", ""),
        (b"\xef\xbb\xbfx = 1\n", ""),
        (b"# -*- coding: latin-1 -*-\nx = '\xe4'\n", ""),
    ],
    ids=["syntax", "null byte", "no UTF-8", "no UTF-8 in a comment", "nested", "empty", "byte order mark", "latin-1"],
)
def test_what_is_no_python_is_a_finding(
    project: Path, capsys: pytest.CaptureFixture[str], content: bytes, sentence: str
) -> None:
    """A file that cannot be parsed is told as a finding, beside those of the other files, and never a traceback."""
    (project / "odd.py").write_bytes(content)
    _, out, err = run(capsys, "odd.py", "flow.py", "--output", "json")
    messages = [one["message"] for one in json.loads(out) if one["rule"] == "TEN000"]
    assert [sentence in one for one in messages] == [True] * bool(sentence)
    assert [one["rule"] for one in json.loads(out) if one["path"] == "flow.py"] == ["TEN102", "TEN124"]
    assert err == ""


@pytest.mark.parametrize(
    "words",
    [
        ("--output", "json", "lint", "flow.py"),
        ("-o", "json", "--no-color", "lint", "flow.py"),
        ("--engine", "127.0.0.1:1", "--token-file=t", "--output=json", "lint", "flow.py"),
        ("lint", "flow.py", "--no-color", "-o", "json"),
    ],
)
def test_options_of_every_command_may_stand_anywhere(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """What holds for every command is heard by the linter before and behind its name."""
    with pytest.raises(SystemExit):
        main(words)
    assert [one["rule"] for one in json.loads(capsys.readouterr().out)] == ["TEN102", "TEN124"]


@pytest.mark.parametrize("output", ["text", "json", "sarif", "github"])
def test_an_encoding_that_knows_too_little_ends_nothing(project: Path, output: str) -> None:
    """Where standard output is ASCII, as in some builds, paths and source with other letters are shown by escapes."""
    (project / "flow.py").rename(project / "caf\xe9.py")
    program = "from tenuto._cli.start import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "lint", "--output", output],
        cwd=project,
        env={"PYTHONIOENCODING": "ascii", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "TEN102" in done.stdout
    if output == "json":
        assert [one["path"] for one in json.loads(done.stdout)] == ["caf\xe9.py"] * 2
    if output == "sarif":
        assert json.loads(done.stdout)["version"] == "2.1.0"


def test_both_command_lines_lint(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command that starts fast and the one with all commands write the same."""
    quick = run(capsys, "flow.py", "--output", "json")
    with pytest.raises(SystemExit) as ended:
        main_of_all(["lint", "flow.py", "--output", "json"])
    assert (ended.value.code, *capsys.readouterr()) == quick


def test_the_end_of_a_run_collects_no_garbage(project: Path) -> None:
    """What a run has made is given back with its process, not looked through; a caller's process is left as it is."""
    program = (
        "import atexit, gc, sys; from tenuto._cli.start import main\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 0, file=sys.stderr))\n"
        "main({words})"
    )
    for words, is_frozen in (("", "True"), ("['lint', 'flow.py']", "False")):
        command = [sys.executable, "-c", program.format(words=words), "lint", "flow.py"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.strip()) == (1, is_frozen)


def test_linting_loads_no_engine_client(project: Path) -> None:
    """`tenuto lint` starts without grpc, protobuf, uvloop, rich's console, or this package's client."""
    program = (
        "import sys; from tenuto._cli.start import main\n"
        "try: main(['lint', 'flow.py'])\n"
        "except SystemExit: pass\n"
        "heavy = {'grpc', 'google.protobuf', 'uvloop', 'asyncio', 'tenuto.client', 'tenuto.worker'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
