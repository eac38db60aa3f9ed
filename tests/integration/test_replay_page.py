"""The page about replay tests: its programs and commands do what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import BIN, EngineProcess, short_folder
from tenuto._offline import perturbations
from tenuto._offline.results import ProblemKind

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "replay-tests.md").read_text(encoding="utf-8")
SECONDS = 60  # until something is certainly wrong
FILES = ("shop.py", "edited.py", "test_replays.py", "tours.py")


def blocks(language: str) -> list[str]:
    """The code blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def project() -> Iterator[tuple[Path, EngineProcess]]:
    """A folder with the page's programs, and an engine that serves its two applications."""
    with short_folder() as folder, EngineProcess(folder) as engine:
        for name, text in zip(FILES, blocks("python"), strict=True):
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "both.py").write_text(
            "from shop import wfr\nfrom tours import ship, tour\n"
            "wfr.register_activity(ship)\nwfr.register_workflow(tour)\n"
        )
        command = [str(BIN / "python"), "-m", "tenuto._cli.app_host", "both:wfr"]
        served = subprocess.Popen(command, cwd=folder, env=engine.environment)
        yield folder, engine
        served.terminate()
        assert served.wait(SECONDS) == 0


def test_the_session_runs_as_shown(project: tuple[Path, EngineProcess]) -> None:
    """Each command ends with the exit code that the page says, and prints what it shows; then the tests pass."""
    folder, engine = project
    printed = ""
    for line in "".join(blocks("sh")).splitlines():
        command, _, remark = line.partition("#")
        code = re.search(r"exit (\d)", remark)
        words = [str(BIN / "tenuto"), *shlex.split(command)[1:]]
        done = subprocess.run(
            words, cwd=folder, env=engine.environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == (int(code[1]) if code else 0), f"{line}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    for line in "".join(blocks("text")).splitlines():
        assert line in printed
    ini = folder / "pytest.ini"
    for text, count in (("[pytest]\n", 2), (blocks("ini")[0], 4)):
        ini.write_text(text, encoding="utf-8")
        words = [str(BIN / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            words, cwd=folder, env=engine.environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert f"{count} passed" in done.stdout, done.stdout + done.stderr


def test_every_finding_and_perturbation_is_on_the_page() -> None:
    """The page's tables name each kind of problem and each perturbation."""
    for kind in ProblemKind:
        assert re.search(rf"^\|.*`{kind.value}`.*\|", PAGE, re.MULTILINE), kind
    own = [one for one in vars(perturbations).values() if isinstance(one, perturbations.Perturbation)]
    assert len(own) == 12
    for one in own:
        if one is not perturbations.TOGETHER:
            assert f"| `{one.name}` |" in PAGE
