"""A comparison for people: base and today side by side, and each change as a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from tenuto._lint.drift.comparing import Change, ChangeKind, Comparison, Row
from tenuto._lint.drift.shape import Mark, Token

_NEIGHBOURS = 3
_WIDTH = 46
_MARKS = {
    ChangeKind.RENAMED: "~",
    ChangeKind.REPLACED: "~",
    ChangeKind.CONDITION: "~",
    ChangeKind.REORDERED: "~",
}


def side_by_side(comparison: Comparison, changes: Sequence[Change], *, base: str) -> str:
    """The changed rows with three neighbours each way, base on the left, marked `+` new, `-` gone, `~` changed."""
    rows, marks = _merged(comparison, changes)
    marked = [i for i, mark in enumerate(marks) if mark != " "]
    first, last = max(0, marked[0] - _NEIGHBOURS), min(len(rows), marked[-1] + _NEIGHBOURS + 1)
    lines = [f"    {f'base: {base}':<{_WIDTH}}today"]
    lines += ["    ..."] if first else []
    for row, mark in zip(rows[first:last], marks[first:last], strict=True):
        lines.append(f"  {mark} {_cell(row.base):<{_WIDTH}}{_cell(row.current)}".rstrip())
    lines += ["    ..."] if last < len(rows) else []
    return "\n".join(lines)


def _merged(comparison: Comparison, changes: Sequence[Change]) -> tuple[list[Row], list[str]]:
    """Rows and their marks; what stands in the place of something else shares its row."""
    rows = comparison.rows
    own = {position for change in changes for position in (change.base, change.current)}
    partner = {
        change.base: change.current for change in changes if change.kind in (ChangeKind.RENAMED, ChangeKind.REPLACED)
    }
    shared = set(partner.values()) - set(partner)
    kinds = {position: change.kind for change in changes for position in (change.base, change.current)}
    merged: list[Row] = []
    marks: list[str] = []
    for i, row in enumerate(rows):
        if i in shared:
            continue
        if i in partner:
            merged.append(Row(row.base, rows[partner[i]].current))
            marks.append("~")
            continue
        merged.append(row)
        is_one_sided = row.base is None or row.current is None
        one_sided = "+" if row.base is None else "-"
        marks.append((one_sided if is_one_sided else _MARKS.get(kinds[i], "~")) if i in own else " ")
    return merged, marks


def _cell(token: Token | None) -> str:
    if token is None:
        return ""
    room = _WIDTH - 8 - 2 * token.depth
    text = token.text if len(token.text) <= room or room < 8 else f"{token.text[: room - 3]}..."
    return f"{token.place.line:>4}  {'  ' * token.depth}{text}"


def sentence(change: Change, comparison: Comparison) -> str:
    """What happened, without a full stop."""
    rows = comparison.rows
    base, current = rows[change.base].base, rows[change.current].current
    old = "" if base is None else base.text
    new = "" if current is None else current.text
    match change.kind:
        case ChangeKind.RENAMED | ChangeKind.REPLACED:
            return f"{old} became {new}"
        case ChangeKind.REMOVED:
            return f"{old} is gone"
        case ChangeKind.INSERTED:
            return f"{new} is new{_where(rows, change.current)}"
        case ChangeKind.REORDERED:
            return f"{new} moved{_where(rows, change.current)}"
        case ChangeKind.WRAPPED:
            return f"'{new.rstrip(':')}' is new around {_inside(rows, change.current, is_base=False)}"
        case ChangeKind.UNWRAPPED:
            return f"'{old.rstrip(':')}' is gone around {_inside(rows, change.base, is_base=True)}"
        case ChangeKind.CONDITION:
            return f"'{old.rstrip(':')}' became '{new.rstrip(':')}'"
        case ChangeKind.ENDS_EARLY:
            return f"'{new}' is new{_where(rows, change.current)}"
        case ChangeKind.GOES_ON:
            return f"'{old}' is gone"
        case ChangeKind.WAITS:
            return f"'{new or old}' is {'new' if base is None else 'gone'}{_where(rows, change.current)}"


def _where(rows: Sequence[Row], i: int) -> str:
    """Between which operations a row stands."""
    after = next((row.base or row.current for row in rows[i + 1 :] if _is_shared_operation(row)), None)
    if after is not None:
        return f" before {after.text}"
    before = next((row.base or row.current for row in reversed(rows[:i]) if _is_shared_operation(row)), None)
    return "" if before is None else f" after {before.text}"


def _is_shared_operation(row: Row) -> bool:
    return row.base is not None and row.current is not None and row.current.mark is Mark.OPERATION


def _inside(rows: Sequence[Row], i: int, *, is_base: bool) -> str:
    """The operations that stayed, inside a block."""
    opener = rows[i].base if is_base else rows[i].current
    block = -1 if opener is None else opener.block
    tokens = [(row.base if is_base else row.current) for row in rows if _is_shared_operation(row)]
    names = [token.text for token in tokens if token is not None and any(one == block for one, _ in token.around)]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more" if names else "operations"
