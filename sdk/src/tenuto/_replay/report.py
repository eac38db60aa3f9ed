"""The report of a difference between history and code: what differs, where in the code, why, and what to do.

Written only once there is one; everything in it is either in history, kept by the executor anyway, or asked of the
`Investigator`. Its size is bounded: it is stored with the instance and shown in lists.
"""

from __future__ import annotations

import inspect
import shlex
from typing import Final

import msgspec

from tenuto._replay import actions
from tenuto._replay.alignment import CHANGED, INSERTED, MISSING, Row, Rows, align
from tenuto._replay.causes import Cause, is_patch_right, likely_causes
from tenuto._replay.changes import Ahead, Change, Kind, find_change, is_mentioned
from tenuto._replay.comparison import ENDINGS, RecordedOperation, describe, key_of, title
from tenuto._replay.operations import source_of
from tenuto._replay.patching import Branch, Snippet, branch_snippet, count_later, find_branch, make_snippet
from tenuto._replay.scene import Investigator, Recorded, Scene, Suspects
from tenuto.errors import NonDeterminismError

# What the engine keeps of a reason, in characters.
MAX_CHARACTERS: Final = 8_000
_LONGEST_CELL: Final = 60
_LONGEST_LINE: Final = 1_000
_UNKNOWN: Final = "?"
_LEGEND: Final = {
    MISSING: "recorded and not asked for",
    INSERTED: "asked for and not recorded",
    CHANGED: "changed",
    _UNKNOWN: "not known: the code has not come so far",
}


def make_error(scene: Scene, investigator: Investigator | None) -> NonDeterminismError:
    """The error for a difference, with its report as text.

    Args:
        scene: the difference.
        investigator: who knows the code; None leaves out what only it can tell.
    """
    difference = scene.difference
    recorded, attempted = difference.recorded, difference.attempted
    event_id = recorded.event_id if recorded is not None else attempted.event_id if attempted is not None else 0
    error = NonDeterminismError(
        difference.code,
        recorded="nothing at this point: history goes on without it" if recorded is None else describe(recorded),
        attempted=_attempted_text(scene),
        instance_id=scene.instance_id,
        event_id=event_id,
    )
    try:
        head, *others = _sections(scene, investigator)
        error.report = _bounded([f"{error}\n{head}", *others])
    except Exception as fault:  # It reads users' code, of any form: no fault in that may hide the difference itself.
        error.report = f"{error}\n  (no more can be told, the report failed: {type(fault).__name__}: {fault})"
    return error


def _attempted_text(scene: Scene) -> str:
    attempted = scene.difference.attempted
    if attempted is not None:
        return describe(attempted)
    return "nothing at this point" + (f": the code waits at {scene.waits_at}" if scene.waits_at else "")


def _sections(scene: Scene, investigator: Investigator | None) -> list[str]:
    """What follows the head of the report, in the order in which it is read."""
    before, later = scene.operations()
    suspects = Suspects() if investigator is None else investigator.suspects(scene.function)
    source = getattr(scene.difference.attempted, "source", "") or scene.waits_at or _own_source(scene)
    text = investigator.text_of(source, scene.function) if investigator is not None and source else None
    change = find_change(scene, later, _ahead(scene, later, text, source, investigator=investigator))
    code = _read(scene, change, text, source)
    branch = ""
    if code.branch is not None:
        branch = f"{code.branch.source}: if {code.branch.condition}"
        change = Change(Kind.REPLACED, later[:1], is_branch=True)
    parts = [
        "\n".join(_facts(scene)),
        "\n".join(_side_by_side(align(scene, before, later, change))),
        "\n".join(_causes(likely_causes(scene, change, suspects, branch))),
    ]
    if is_patch_right(scene, change, suspects):
        parts.append(_patch_text(code))
    parts.append("\n".join(_operator(scene)))
    return parts


def _facts(scene: Scene) -> list[str]:
    found, own = scene.recorded_hash(), _own_source(scene)
    same = " (the same)" if found == scene.code_hash else ""
    return [
        f"  where:     event {scene.position} of history (history-{scene.position:06d}), turn {scene.turn()}, "
        f"execution {scene.execution_id}",
        f"  workflow:  '{scene.workflow}'" + (f", at {own}" if own else ""),
        f"  code hash: {found or 'not recorded'} when recorded, {scene.code_hash or 'not known'} now{same}",
    ]


def _own_source(scene: Scene) -> str:
    """Where the workflow function stands; empty for a callable without code of its own."""
    code = getattr(inspect.unwrap(scene.function), "__code__", None)
    return "" if code is None else source_of(code.co_filename, code.co_firstlineno)


def _causes(causes: list[Cause]) -> list[str]:
    lines = ["likely causes, the likeliest first:" if len(causes) > 1 else "likely cause:"]
    for number, cause in enumerate(causes, 1):
        lines.append(f"  {number}. {_line(cause.text)}")
        lines += (f"     - {_line(detail)}" for detail in cause.details)
    return lines


# -- side by side


def _side_by_side(rows: Rows) -> list[str]:
    cells = [
        (row.mark, _number(row), _cell(row.recorded), _UNKNOWN if row.is_open else _cell(row.attempted))
        for row in rows.shown
    ]
    width = max(len("recorded"), *(len(left) for _, _, left, _ in cells))
    digits = max(len("op"), *(len(number) for _, number, _, _ in cells))
    lines = [f"    {'op':>{digits}}  {'recorded':<{width}}  | now"]
    lines += [
        f"  {mark} {number:>{digits}}  {left:<{width}}  | {right}".rstrip() for mark, number, left, right in cells
    ]
    if rows.more_differ:
        lines.append(f"    ... and {rows.more_differ} more that differ")
    used = {mark for mark, *_ in cells} | {right for *_, right in cells}
    return [*lines, "  (" + ", ".join(f"{mark} {text}" for mark, text in _LEGEND.items() if mark in used) + ")"]


def _number(row: Row) -> str:
    found = row.recorded if row.recorded is not None else row.attempted
    return "" if found is None else str(found.event_id)


def _cell(operation: RecordedOperation | actions.Action | None) -> str:
    if operation is None:
        return ""
    source = getattr(operation, "source", "")
    text = " ".join(title(operation).split())
    return _cut(text, _LONGEST_CELL) + (f"  {_cut(source, _LONGEST_CELL)}" if source else "")


# -- what to do


class _Code(msgspec.Struct, frozen=True):
    """What the file says at the line that differs; nothing where it cannot be read."""

    branch: Branch | None = None
    snippets: list[tuple[Change, Snippet]] = []


def _ahead(
    scene: Scene, later: list[Recorded], text: str | None, source: str, *, investigator: Investigator | None
) -> Ahead:
    """What the code still holds: by its text where that can tell, else by its names."""
    recorded, attempted = scene.difference.recorded, scene.difference.attempted
    if investigator is None or recorded is None:
        return Ahead()
    counts: list[int | None] = [None, None]
    keys = [key_of(recorded), key_of(attempted) if attempted is not None else ("", "")]
    if text is not None and not isinstance(attempted, ENDINGS):
        try:
            counts = [count_later(scene, text, source, key) for key in keys]
        except (SyntaxError, ValueError, RecursionError):  # As in _read.
            counts = [None, None]
    if counts[0] is None or counts[1] is None:
        return Ahead(is_mentioned(scene, investigator.mentioned(scene.function)))
    behind = [key_of(each.event) for each in later]
    return Ahead(counts[0] >= behind.count(keys[0]), counts[1] >= behind[1:].count(keys[1]))


def _read(scene: Scene, change: Change, text: str | None, source: str) -> _Code:
    if text is None:
        return _Code()
    try:
        branch = find_branch(scene, text, source) if change.is_branch else None
        if branch is not None:
            made = [(change, branch_snippet(scene, branch, text))]
        else:
            changes = [change] if change.alternative is None else [change, change.alternative]
            made = [(each, make_snippet(scene, each, text, source)) for each in changes]
    except (SyntaxError, ValueError, RecursionError):  # It may have been replaced since it was loaded.
        return _Code()
    return _Code(branch, [(each, snippet) for each, snippet in made if snippet is not None])


def _patch_text(code: _Code) -> str:
    """The snippets; a sentence where none can be made from the code."""
    if not code.snippets:
        return (
            'if the change is meant: put the new code into `if ctx.is_patched("name-of-the-change"):` and the old code '
            "into its `else:`; then old instances go on as they began, and new ones run the new code"
        )
    lines: list[str] = []
    for change, snippet in code.snippets:
        which = f" ({change.kind.value})" if len(code.snippets) > 1 else ""
        head = f"if the change is meant{which}: old instances go on, and new ones run the new code, with this"
        lines += [f"{head} {snippet.where}:", "", *snippet.lines, ""]
        lines += [f"({snippet.note})", ""] if snippet.note else []
    return "\n".join(lines).rstrip()


def _operator(scene: Scene) -> list[str]:
    quoted = shlex.quote(scene.instance_id)
    lines = [
        "the instance is stalled: nothing of it is lost, what arrives for it is kept. An operator can",
        f"  - run the code that recorded this history, or corrected code; then: tenuto workflow resume {quoted}",
        f"  - end it: tenuto workflow terminate {quoted}",
    ]
    again = scene.last_closed()
    if again:
        new = shlex.quote(f"{scene.instance_id}-again")
        lines.append(
            f"  - once it has ended, run it with today's code from operation {again} on, which is executed again: "
            f"tenuto workflow rerun {quoted} {again} --id {new}"
        )
    else:
        lines.append(
            "  - once it has ended, start it anew with today's code: "
            f"tenuto workflow start {shlex.quote(scene.workflow)}"
        )
    return lines


# -- size


def _line(text: str) -> str:
    return _cut(" ".join(text.split()), _LONGEST_LINE)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _bounded(parts: list[str]) -> str:
    """All parts, or as many as fit: what to do stands last and stays, the longest of the others is cut."""
    parts = list(parts)
    while (surplus := sum(map(len, parts)) + 2 * len(parts) - MAX_CHARACTERS) > 0:
        longest = max(range(len(parts)), key=lambda i: len(parts[i]))
        kept = max(len(parts[longest]) - surplus - 1, 0)
        parts[longest] = f"{parts[longest][:kept]}…"
        if not kept:
            break
    return "\n\n".join(parts)[:MAX_CHARACTERS]
