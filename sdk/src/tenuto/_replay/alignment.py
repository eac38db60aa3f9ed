"""Recorded and attempted operations side by side, as rows: what is missing, inserted, changed, or not known yet."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final

import msgspec

from tenuto._replay import actions
from tenuto._replay.changes import LOOK_AHEAD, Change, Kind
from tenuto._replay.comparison import ENDINGS, RecordedOperation, key_of
from tenuto._replay.scene import Recorded, Scene

NEIGHBOURS: Final = 3

SAME, CHANGED, MISSING, INSERTED = " ", "~", "-", "+"


class Row(msgspec.Struct, frozen=True):
    """One line. `is_open`: what the code asks for here is not known, because it has not come so far."""

    mark: str
    recorded: RecordedOperation | None = None
    attempted: actions.Action | None = None
    is_open: bool = False


class Rows(msgspec.Struct, frozen=True):
    """The rows to show, and how many more of those behind them differ."""

    shown: list[Row]
    more_differ: int


def align(scene: Scene, before: Sequence[Recorded], later: Sequence[Recorded], change: Change) -> Rows:
    """Three rows before the difference, it, and three behind it."""
    kept = min(NEIGHBOURS, len(before))
    now: list[actions.Action | None] = [None] * kept
    if confirmed := list(scene.confirmed)[-kept:] if kept else []:
        now[-len(confirmed) :] = confirmed
    head = [
        Row(SAME, each.event, action, is_open=action is None)
        for each, action in zip(before[-kept:] if kept else [], now, strict=True)
    ]
    tail = _differing(scene, [each.event for each in later[:LOOK_AHEAD]], list(scene.asked[:LOOK_AHEAD]), change)
    rest = tail[NEIGHBOURS + 1 :]
    return Rows([*head, *tail[: NEIGHBOURS + 1]], sum(row.mark != SAME for row in rest))


def _differing(
    scene: Scene, recorded: list[RecordedOperation], asked: list[actions.Action], change: Change
) -> list[Row]:
    """The rows from the difference on. The first one shows it; those behind are matched by kind and name."""
    if scene.difference.recorded is None:
        return [Row(INSERTED, attempted=asked[0]), *_matched(recorded, asked[1:])]
    if not asked:
        return [Row(MISSING, recorded[0]), *_open(recorded[1:])]
    match change.kind:
        case Kind.REORDERED:
            return _in_pairs(recorded, asked)
        case Kind.ADDED:
            return [Row(INSERTED, attempted=asked[0]), *_matched(recorded, asked[1:])]
        case Kind.REMOVED:
            gone = len(change.gone)
            return [*(Row(MISSING, each) for each in recorded[:gone]), *_matched(recorded[gone:], asked)]
        case _:
            return [Row(CHANGED, recorded[0], asked[0]), *_matched(recorded[1:], asked[1:])]


def _in_pairs(recorded: list[RecordedOperation], asked: list[actions.Action]) -> list[Row]:
    pairs = [
        Row(SAME if key_of(one) == key_of(other) else CHANGED, one, other)
        for one, other in zip(recorded, asked, strict=False)
    ]
    return [*pairs, *_open(recorded[len(asked) :]), *(Row(INSERTED, attempted=each) for each in asked[len(recorded) :])]


def _matched(recorded: list[RecordedOperation], asked: list[actions.Action]) -> list[Row]:
    """The rows of what lies behind the first difference."""
    rows: list[Row] = []
    done = 0
    matcher = SequenceMatcher(None, [key_of(e) for e in recorded], [key_of(a) for a in asked], autojunk=False)
    for block in matcher.get_matching_blocks():
        until = block.a
        if not block.size and not (asked and isinstance(asked[-1], ENDINGS)):
            until = done  # what is recorded behind the last match may still be asked for
        rows += (Row(MISSING, each) for each in recorded[done:until])
        first = len([row for row in rows if row.attempted is not None])
        rows += (Row(INSERTED, attempted=each) for each in asked[first : block.b])
        rows += (
            Row(SAME, one, other)
            for one, other in zip(
                recorded[block.a : block.a + block.size], asked[block.b : block.b + block.size], strict=True
            )
        )
        done = until + block.size
    return [*rows, *_open(recorded[done:])]


def _open(recorded: Sequence[RecordedOperation]) -> list[Row]:
    return [Row(SAME, each, is_open=True) for each in recorded]
