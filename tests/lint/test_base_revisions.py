"""`tenuto lint --base`: what git says of a revision, and what becomes of it on the command line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines import BIN
from lint.rule_cases import FOLDER, cases, found
from tenuto._lint.drift.revisions import BaseUnavailable, read_base
from tenuto._lint.finding import Severity
from tenuto._payloads.decoding import from_payload
from tenuto._payloads.encoding import to_payload
from tenuto.errors import PayloadError

BEFORE = (FOLDER / "TEN281/bad_renamed/orders.py.base").read_text(encoding="utf-8")
AFTER = (FOLDER / "TEN281/bad_renamed/orders.py").read_text(encoding="utf-8")
Git = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository whose first commit holds a shop, at a path with a space in it."""
    root = tmp_path / "the shop"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "orders.py").write_text(BEFORE)
    git(root, "add", ".")
    git(root, "commit", "-qm", "a shop")
    return root


def environment() -> dict[str, str]:
    """Of a git that knows nobody's configuration."""
    who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@localhost"}
    who |= {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@localhost"}
    return {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def git(root: Path, *words: str) -> str:
    """Runs git, which must succeed."""
    finished = subprocess.run(["git", *words], cwd=root, env=environment(), capture_output=True, text=True, check=True)
    return finished.stdout.strip()


def lint(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `tenuto lint` in a folder."""
    command = [str(BIN / "tenuto"), "lint", "--no-cache", *words]
    return subprocess.run(
        command, cwd=root, env={**environment(), **variables}, capture_output=True, text=True, check=False
    )


def rules(root: Path, *words: str) -> list[tuple[str, str]]:
    """Files and rules of what is found beside the last commit."""
    finished = lint(root, "--base", "HEAD", "--output", "json", *words)
    return [(one["path"], one["rule"]) for one in json.loads(finished.stdout)]


def test_an_edited_work_tree_is_held_against_the_commit(folder: Path) -> None:
    """An edit is found before it is committed, staged or not, and nothing is found once it is the base."""
    assert rules(folder) == []
    (folder / "orders.py").write_text(AFTER)
    assert rules(folder) == [("orders.py", "TEN281")]
    git(folder, "add", ".")
    assert rules(folder) == [("orders.py", "TEN281")]
    git(folder, "commit", "-qm", "cards")
    assert rules(folder) == []
    assert lint(folder, "--base", "HEAD~1").returncode == 1


def test_the_text_shows_both_sides_and_the_patch(folder: Path) -> None:
    """People see the base's operations beside today's, the error that would come, and the very patch to write."""
    (folder / "orders.py").write_text(AFTER)
    text = lint(folder, "--base", "main").stdout
    assert "~   31  activity 'charge'                         31  activity 'charge-card'" in text
    assert "UNEXPECTED_ACTIVITY" in text
    assert 'if ctx.is_patched("charge-to-charge-card"):' in text
    assert "              paid = yield ctx.call_activity(charge, input=item)" in text


def test_the_fix_writes_the_patch(folder: Path) -> None:
    """`--fix` leaves code in which nothing is found, and both ways stand."""
    (folder / "orders.py").write_text(AFTER)
    finished = lint(folder, "--base", "HEAD", "--fix")
    assert finished.returncode == 0, finished.stdout
    text = (folder / "orders.py").read_text()
    assert '    if ctx.is_patched("charge-to-charge-card"):\n        paid = yield ctx.call_activity(charge_card' in text
    assert "    else:\n        paid = yield ctx.call_activity(charge, input=item)\n" in text


def test_a_moved_file_is_no_change(folder: Path) -> None:
    """A workflow is found by its name in whatever file it is, and compared there."""
    (folder / "shop").mkdir()
    git(folder, "mv", "orders.py", "shop/orders.py")
    assert rules(folder) == []
    (folder / "shop/orders.py").write_text(AFTER)
    assert rules(folder) == [("shop/orders.py", "TEN281")]


def test_a_new_file_is_no_change(folder: Path) -> None:
    """Workflows that the base did not have cannot differ from it, tracked or not."""
    (folder / "more.py").write_text(AFTER.replace("def order(", "def another("))
    assert rules(folder) == []


def test_a_deleted_file_is_told(folder: Path) -> None:
    """A workflow that is gone with its file is reported at a file that is there."""
    (folder / "orders.py").unlink()
    (folder / "more.py").write_text(AFTER.replace("def order(", "def another("))
    assert rules(folder) == [("more.py", "TEN284")]


def test_only_what_is_linted_is_compared(folder: Path) -> None:
    """Files outside the paths given are not missed from them."""
    (folder / "shop").mkdir()
    (folder / "shop/more.py").write_text(AFTER.replace("def order(", "def another("))
    (folder / "orders.py").write_text(AFTER)
    assert rules(folder, "shop") == []
    assert rules(folder, "orders.py") == [("orders.py", "TEN281")]


def test_a_base_of_no_python_is_told(folder: Path) -> None:
    """A file that was no Python at the base cannot be compared, and that is said."""
    (folder / "orders.py").write_text("@wfr.workflow\ndef broken(:\n")
    git(folder, "commit", "-qam", "a mistake")
    (folder / "orders.py").write_text(AFTER)
    finished = lint(folder, "--base", "HEAD")
    assert "nothing in orders.py was compared: at HEAD" in finished.stdout


def test_drift_is_suppressed_with_a_reason(folder: Path) -> None:
    """A comment at the place keeps a finding back, as any other."""
    reason = "  # tenuto: ignore[TEN281] no instance is left\n"
    (folder / "orders.py").write_text(AFTER.replace("  # expect: TEN281\n", reason))
    assert rules(folder) == []


def test_it_runs_inside_a_hook_of_another_repository(folder: Path, tmp_path: Path) -> None:
    """Variables that git sets for a hook do not lead to the hook's own repository."""
    (folder / "orders.py").write_text(AFTER)
    other = {"GIT_DIR": str(tmp_path / "elsewhere"), "GIT_INDEX_FILE": str(tmp_path / "index")}
    assert "TEN281" in lint(folder, "--base", "HEAD", **other).stdout


@pytest.mark.parametrize("revision", ["nope", "", "--output=stolen", "HEAD^{tree}", "HEAD:orders.py"])
def test_a_revision_that_is_not_there_is_told(folder: Path, revision: str) -> None:
    """What is no commit gives a sentence that names it and says what to do, and exit code 2; git gets no options."""
    finished = lint(folder, f"--base={revision}")
    assert finished.returncode == 2
    assert finished.stderr.startswith(f"error: there is no revision '{revision}' in ")
    assert "fetch" in finished.stderr
    assert not (folder / "stolen").exists()


def test_a_folder_without_repository_is_told(tmp_path: Path) -> None:
    """Without a repository there is no base, and the message says to leave the option out."""
    with pytest.raises(BaseUnavailable, match=r"is in no git repository.*leave --base out"):
        read_base("HEAD", tmp_path)


def test_a_machine_without_git_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git is not installed, the message says so."""
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(BaseUnavailable, match="needs git"):
        read_base("HEAD", folder)


def test_links_are_not_followed(folder: Path) -> None:
    """What a symbolic link of the repository holds is a path, not Python."""
    (folder / "linked.py").symlink_to("/etc/hostname")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "a link")
    (folder / "linked.py").unlink()
    assert read_base("HEAD", folder).paths == {"orders.py"}


PAYLOADS = [pytest.param(case, id=case.name) for case in cases("TEN285") if case.is_dir()]


@pytest.mark.parametrize("case", PAYLOADS)
def test_payloads_break_as_they_are_said_to(case: Path) -> None:
    """What was recorded with the base's models is refused by today's decoder exactly where TEN285 says so."""
    before = _load((case / "orders.py.base").read_text(encoding="utf-8"))
    today = _load((case / "orders.py").read_text(encoding="utf-8"))
    refused = [not _reads(value, today[type(value).__name__]) for value in _recorded(before)]
    assert any(refused) == any(one.severity is Severity.ERROR for one in found(case, "TEN285"))


def _load(source: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "orders"}
    exec(compile(source, "orders.py", "exec", dont_inherit=True), namespace)  # noqa: S102  # our own fixture
    return namespace


def _recorded(models: dict[str, Any]) -> list[Any]:
    """Values of the base's models, with every field given."""
    more = {"price": 1} if "price" in models["Line"].__annotations__ else {}
    line = models["Line"](item="tea", count=2, **more)
    city = {"city": "Ulm"} if "city" in models["Address"].model_fields else {}
    address = models["Address"](street="Lange Gasse", **city)
    sizes = [
        models["Order"](id="1", lines=[line], size=size, address=address, hints={"gift": True})
        for size in models["Size"]
    ]
    return [*sizes, models["Receipt"](total=3, at=models["datetime"](2030, 1, 1))]


def _reads(value: Any, annotation: Any) -> bool:
    try:
        from_payload(to_payload(value), annotation)
    except PayloadError:
        return False
    return True
