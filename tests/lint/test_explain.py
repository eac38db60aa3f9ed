"""`tenuto explain`: every rule and error code has its page, by whatever name one asks for it."""

from __future__ import annotations

import json

import pytest

from tenuto import errors
from tenuto._cli.main import main
from tenuto._lint.explaining import all_pages, closest, find_page
from tenuto._lint.registry import all_rules
from tenuto._offline.results import ProblemKind


def explain(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `tenuto explain`."""
    with pytest.raises(SystemExit) as ended:
        main(["explain", *words])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


@pytest.mark.parametrize("asked", ["TEN101", "ten101", "101", "D101", "wall-clock", "Wall Clock"])
def test_a_rule_is_found_by_many_names(asked: str) -> None:
    """Id in any case, bare number, the catalogue's letter, and the rule's name lead to one page."""
    page = find_page(asked)
    assert page is not None
    assert page.name == "TEN101"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errors.NON_DETERMINISTIC, "Workflow code changed or behaves differently"),
        (errors.UNEXPECTED_ACTIVITY, "Workflow tried to call different activity than recorded"),
    ],
)
def test_an_error_is_found_by_its_code(code: str, says: str) -> None:
    """The page of an error code opens with the very words of the error."""
    page = find_page(code.partition(":")[0])
    assert page is not None
    assert page.text.startswith(f"# {code.partition(':')[0]}: {says}\n")


def test_a_guard_refusal_is_explained() -> None:
    """The outcome of a turn that the guard refused has its page."""
    assert find_page("guard_refused") is not None


@pytest.mark.parametrize("kind", list(ProblemKind))
def test_what_a_replay_finds_is_explained(kind: ProblemKind) -> None:
    """Every code that `tenuto replay` writes has its page, with what happened and what to do."""
    page = find_page(kind.value)
    assert page is not None
    assert all(f"\n## {part}\n" in page.text for part in ("What happened", "Why", "What to do"))


def test_a_page_is_printed_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal the page is Markdown, unchanged."""
    assert explain(capsys, "TEN281") == (0, all_pages()["TEN281"].text, "")


def test_a_page_is_data_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """`--output json` gives the page with what the rule says of itself."""
    code, out, _ = explain(capsys, "patch-ids", "--output", "json")
    found = json.loads(out)
    assert code == 0
    assert (found["name"], found["rule"], found["profile"], found["severity"]) == (
        "TEN282",
        "patch-ids",
        "core",
        "error",
    )
    assert found["page"] == all_pages()["TEN282"].text


def test_alone_it_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an argument every page is listed, core before strict before pedantic, error codes last."""
    code, out, _ = explain(capsys)
    assert code == 0
    headings = [line for line in out.splitlines() if line.startswith(("profile", "error codes"))]
    assert headings == ["profile core", "profile strict", "profile pedantic", "error codes"]
    assert [name for name in all_pages() if not any(line.startswith(f"{name} ") for line in out.splitlines())] == []
    listed = json.loads(explain(capsys, "--output", "json")[1])
    assert [one["name"] for one in listed] == list(all_pages())


def test_what_does_not_exist_is_told_with_what_is_close(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelled name is answered by the closest ones, a strange one by how to list all; exit code 2."""
    code, out, error = explain(capsys, "wall-clok")
    assert (code, out) == (2, "")
    assert "did you mean wall-clock or" in error
    assert closest("NON_DETERMINISM")[0] == "NON_DETERMINISTIC"
    assert "`tenuto explain` lists them all" in explain(capsys, "zzz")[2]


def test_titles_of_pages_are_lines() -> None:
    """Each page opens with its name and a title, which lists and SARIF show."""
    assert [page.name for page in all_pages().values() if not page.title or len(page.title) > 100] == []
    assert list(all_pages())[: len(all_rules())] == list(all_rules())
