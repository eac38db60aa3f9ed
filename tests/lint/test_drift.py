"""Drift says what the real executor says of the same edit."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lint.drift_edits import EDITS, Edit, breaks, differences, source_of
from lint.rule_cases import FOLDER, cases, found
from tenuto._lint.fixes import apply_edits, fix_source, safe_fixes

MARKED = [pytest.param(edit, id=edit.name.replace(" ", "-")) for edit in EDITS]


@pytest.mark.parametrize("edit", MARKED)
def test_an_edit_is_told_as_what_it_is(edit: Edit) -> None:
    """Each edit gives exactly the sentence of the table; one that no instance can notice gives none."""
    said = [hunk.message.partition(": ")[2] for hunk in differences(edit.before, edit.after)]
    assert said == ([edit.says] if edit.says else [])


@pytest.mark.parametrize("edit", MARKED)
def test_an_edit_breaks_what_it_is_said_to_break(edit: Edit) -> None:
    """Where drift speaks, the real executor refuses to replay some history of the base; where it is silent, none."""
    if edit.is_certain:
        assert breaks(edit.before, edit.after) == bool(edit.says)


# Statements of small workflows; the executor runs every order of completions of them.
_CALLS = st.sampled_from(["a", "b", "c"]).map(lambda name: f'yield ctx.call_activity("{name}")')
_STARTS = st.sampled_from(["a", "b"]).map(lambda name: f'tasks.append(ctx.call_activity("{name}"))')
_LEAVES = st.one_of(
    _CALLS,
    _CALLS,
    _STARTS,
    st.just("yield ctx.create_timer(timedelta(seconds=1))"),
    st.just("yield wf.when_all(tasks)"),
    st.just("pass"),
    st.just('ctx.raise_event("other", "e")'),
)


def _block(head: str, body: list[str]) -> str:
    return "\n".join([head, *(f"    {row}" for line in body for row in line.split("\n"))])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    bodies = st.lists(inner, min_size=1, max_size=2)
    heads = st.sampled_from(["if x > 3:", "if x > 0:", "for _ in range(2):", 'if ctx.is_patched("p"):'])
    ended = st.sampled_from(["if x > 3:", "if x == 0:"]).flatmap(
        lambda head: bodies.map(lambda body: _block(head, [*body, "return 1"]))
    )
    tried = st.tuples(bodies, bodies).map(
        lambda pair: _block("try:", pair[0]) + "\n" + _block("except wf.TaskFailedError:", pair[1])
    )
    either = st.tuples(st.sampled_from(["if x > 3:", "if x > 0:"]), bodies, bodies).map(
        lambda three: _block(three[0], three[1]) + "\n" + _block("else:", three[2])
    )
    return st.one_of(st.tuples(heads, bodies).map(lambda pair: _block(*pair)), ended, tried, either)


_STATEMENTS = st.recursive(_LEAVES, _grow, max_leaves=4)


@st.composite
def _edited(draw: st.DrawFn) -> tuple[str, str]:
    """A workflow, and the same after one statement was added, removed, replaced or moved."""
    before = draw(st.lists(_STATEMENTS, min_size=1, max_size=4))
    after = list(before)
    at = draw(st.integers(0, len(before) - 1))
    match draw(st.sampled_from(["add", "remove", "replace", "move", "wrap"])):
        case "add":
            after.insert(at, draw(_STATEMENTS))
        case "remove":
            del after[at]
        case "replace":
            after[at] = draw(_STATEMENTS)
        case "move":
            after.insert(draw(st.integers(0, len(before) - 1)), after.pop(at))
        case _:
            after[at] = _block(draw(st.sampled_from(["if x > 3:", 'if ctx.is_patched("q"):'])), [after[at]])
    head = ["tasks = []"]
    return source_of("\n".join(head + before)), source_of("\n".join([*head, *after, "pass"]))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(_edited())
def test_silence_is_a_promise(sources: tuple[str, str]) -> None:
    """Where drift says nothing of an edit, every history that the base can record is replayed by the edited code."""
    if not differences(*sources):
        assert not breaks(*sources)


PATCHED = [
    pytest.param(case, id=case.name) for case in cases("TEN281") if case.name.startswith("bad") and case.is_dir()
]
MENDED = [pytest.param(path, id=path.parent.name) for path in sorted(FOLDER.glob("TEN28*/bad_*/*.fixed"))]


@pytest.mark.parametrize("case", PATCHED)
def test_a_fix_ends_its_finding(case: Path, tmp_path: Path) -> None:
    """Code edited by the offered fix gives no finding any more."""
    for finding in found(case, "TEN281"):
        if finding.fix is not None:
            for path in case.iterdir():
                (tmp_path / path.name).write_bytes(path.read_bytes())
            edited = tmp_path / Path(finding.path).name
            edited.write_text(apply_edits(edited.read_text(), finding.fix.edits))
            assert found(tmp_path, "TEN281") == []


@pytest.mark.parametrize("path", MENDED)
def test_a_fix_is_what_stands_beside_its_fixture(path: Path) -> None:
    """The fix of a finding beside a base gives the text of the file that ends in `.fixed`."""
    findings = [one for one in found(path.parent, path.parts[-3]) if one.rule == path.parts[-3]]
    mended, _ = fix_source(path.with_suffix(".py").read_bytes(), safe_fixes(findings))
    assert mended.decode() == path.read_text(encoding="utf-8")


def test_no_helper_is_pasted_into_its_workflow() -> None:
    """Where the call of a helper is gone, nobody is told to put the helper's statements in place of the workflow's."""
    (finding,) = found(FOLDER / "TEN281" / "bad_helper_gone", "TEN281")
    assert 'if ctx.is_patched("drop-charge"):\n    ...  # as today\nelse:\n    ...  # as at the base' in finding.instead
    assert finding.fix is None
