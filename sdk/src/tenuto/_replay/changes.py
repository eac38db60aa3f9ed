"""What kind of change explains a difference, as far as both lists of operations and the code's names show it."""

from __future__ import annotations

from difflib import SequenceMatcher
from enum import Enum
from typing import Any, Final

import msgspec

from tenuto._replay import actions
from tenuto._replay.comparison import ENDINGS, key_of
from tenuto._replay.scene import Recorded, Scene

# Beyond this many operations a pattern shows no better, and comparing them would take its time.
LOOK_AHEAD: Final = 200
_SIMILAR: Final = 0.55
_TIMER_NAMES: Final = frozenset({"create_timer", "wait_for_external_event"})


class Kind(Enum):
    """Kinds of change."""

    RENAMED = "renamed"
    REPLACED = "replaced"
    REORDERED = "reordered"
    REMOVED = "removed"
    ADDED = "added"
    ASKED_OTHERWISE = "asked otherwise"
    ENDS_OTHERWISE = "ends otherwise"


class Change(msgspec.Struct, frozen=True):
    """The likeliest change. `gone`: the recorded operations that the code no longer asks for, or not first any more.

    `is_branch`: the code still names what is recorded, so it may as well be a branch that goes another way.
    `alternative`: a change that explains it as well; history does not tell which it was.
    """

    kind: Kind
    gone: list[Recorded] = []
    is_branch: bool = False
    alternative: Change | None = None


class Ahead(msgspec.Struct, frozen=True):
    """What the code holds behind the line that differs; None where that is not known.

    `asks_recorded`: whether it may still ask for what is recorded here. `asks_again`: whether it asks for what it asked
    for here as often again as history records it behind this place.
    """

    asks_recorded: bool | None = None
    asks_again: bool | None = None


def find_change(scene: Scene, later: list[Recorded], ahead: Ahead) -> Change:
    """Classifies a difference.

    Args:
        scene: the difference.
        later: recorded operations from it on.
        ahead: what the code still holds.
    """
    difference = scene.difference
    recorded, attempted = difference.recorded, difference.attempted
    if difference.field:
        return Change(Kind.ENDS_OTHERWISE if isinstance(recorded, ENDINGS) else Kind.ASKED_OTHERWISE)
    recorded_keys = [key_of(each.event) for each in later[:LOOK_AHEAD]]
    asked_keys = [key_of(action) for action in scene.asked[:LOOK_AHEAD]]
    if recorded is None:
        is_moved = asked_keys[0] in recorded_keys
        return Change(Kind.REORDERED if is_moved else Kind.ADDED, is_branch=not is_moved)
    if attempted is None:
        return _gone(later[:1], ahead.asks_recorded)
    if isinstance(recorded, ENDINGS):
        return Change(Kind.ENDS_OTHERWISE if isinstance(attempted, ENDINGS) else Kind.ADDED, is_branch=True)
    if isinstance(attempted, ENDINGS):
        return _gone([each for each in later[:LOOK_AHEAD] if not isinstance(each.event, ENDINGS)], ahead.asks_recorded)
    return _between(scene, later, ahead, keys=(recorded_keys, asked_keys))


def _gone(gone: list[Recorded], is_named: bool | None) -> Change:
    return Change(Kind.REMOVED, gone, is_branch=bool(is_named))


def _between(
    scene: Scene, later: list[Recorded], ahead: Ahead, *, keys: tuple[list[tuple[str, str]], list[tuple[str, str]]]
) -> Change:
    """Both sides have an operation here, and they differ in kind or name."""
    (recorded_keys, asked_keys), is_named = keys, ahead.asks_recorded
    count = len(asked_keys)
    if count > 1 and sorted(recorded_keys[:count]) == sorted(asked_keys):
        return Change(Kind.REORDERED, later[:count])
    comes_later = asked_keys[0] in recorded_keys[1:]
    is_put_before = recorded_keys[0] in asked_keys[1:]
    if comes_later and (is_put_before or is_named):
        reordered = Change(Kind.REORDERED, later[:1], is_branch=not is_put_before)
        if ahead.asks_again:
            return Change(Kind.ADDED, is_branch=not is_put_before, alternative=reordered)
        return reordered
    if comes_later:
        return _gone(later[: recorded_keys.index(asked_keys[0], 1)], is_named)
    is_last = len(later) == 1  # what the code would have asked for next was never recorded
    if is_put_before or is_named:
        moved = Change(Kind.REORDERED, later) if is_last and not is_put_before else None
        return Change(Kind.ADDED, is_branch=not is_put_before, alternative=moved)
    if _are_similar(later[0].event, scene.asked[0]):
        return Change(Kind.RENAMED, later[:1])
    replaced = Change(Kind.REPLACED, later[:1])
    return Change(Kind.REMOVED, later, alternative=replaced) if is_last else replaced


def is_mentioned(scene: Scene, mentioned: frozenset[str] | None) -> bool | None:
    """Whether what is recorded is among the names in the code; None where that is not known."""
    if mentioned is None or scene.difference.recorded is None:
        return None
    kind, name = key_of(scene.difference.recorded)
    return name in mentioned if name else kind == "timer" and not _TIMER_NAMES.isdisjoint(mentioned)


def _are_similar(recorded: Any, attempted: actions.Action) -> bool:
    (kind, name), (other_kind, other) = key_of(recorded), key_of(attempted)
    if kind != other_kind:
        return False
    one, two = name.casefold(), other.casefold()
    return one in two or two in one or SequenceMatcher(None, one, two).ratio() >= _SIMILAR
