"""Likely causes of a difference, in words, the likeliest first."""

from __future__ import annotations

from typing import Final

import msgspec

from tenuto._replay import actions, events
from tenuto._replay.changes import Change, Kind
from tenuto._replay.comparison import ENDINGS, RecordedOperation, title
from tenuto._replay.scene import Scene, Suspects

_MOST_FINDINGS: Final = 3
_MOST_NAMES: Final = 5

_FIELDS: Final = {
    "input": "is called with another input",
    "payload": "carries another payload",
    "instance_id": "goes to another instance",
    "due_at_ms": "is due at another moment",
    "result": "ends with another result",
}


class Cause(msgspec.Struct, frozen=True):
    """A likely cause, and the places that point to it."""

    text: str
    details: list[str] = []


def likely_causes(scene: Scene, change: Change, suspects: Suspects, branch: str) -> list[Cause]:
    """The causes. What the linter found comes first where the code is unchanged, or can still do what is recorded.

    `branch`: the `if` of which the code took the other arm, if it is one.
    """
    recorded_hash = scene.recorded_hash()
    findings = [
        f"{each.rule} at {each.place}: {each.message.rstrip('.')}. {each.instead}".rstrip()
        for each in suspects.found[:_MOST_FINDINGS]
    ]
    if len(suspects.found) > _MOST_FINDINGS:
        findings[-1] += f" ({len(suspects.found) - _MOST_FINDINGS} more: `tenuto lint`)"
    if suspects.note:
        findings.append(suspects.note)
    edit = _edit(scene, change)
    if recorded_hash and recorded_hash == scene.code_hash:
        behaves = (
            "the workflow's code is the same that recorded this, so it behaves differently: a clock, a random number, "
            "the environment, the order of a set, a global variable or another release of a dependency decides what it "
            "asks for"
        )
        return [Cause(behaves, [f"the other way was taken at {branch}", *findings] if branch else findings)]
    if branch:
        other_way = "a branch goes another way than when this was recorded; what decides it must not vary by itself"
        return [Cause(other_way, [branch, *findings]), Cause(f"the branch is new: {_was_now(scene)}")]
    if suspects.found and change.is_branch:
        other_way = "a branch goes another way than when this was recorded, by something that varies by itself"
        return [Cause(other_way, findings), Cause(edit)]
    edits = [Cause(edit)]
    if change.alternative is not None:
        edits = [Cause(f"{edit}; or else the next: history does not tell")]
        edits.append(Cause(_edit(scene, change.alternative)))
    if suspects.found:
        return [*edits, Cause("what the code asks for depends on something that differs each time", findings)]
    return [*edits[:-1], Cause(edits[-1].text, findings)]


def _edit(scene: Scene, change: Change) -> str:
    """What an edit must have done."""
    difference = scene.difference
    recorded, attempted = difference.recorded, difference.attempted
    was = "" if recorded is None else _named(recorded)
    now = "" if attempted is None else _named(attempted)
    match change.kind:
        case Kind.RENAMED:
            return f"{was} was renamed: it stands at the same place as {now}, and the names are alike"
        case Kind.REPLACED:
            return f"{was} was replaced by {now}, which stands at its place"
        case Kind.REORDERED if recorded is None:
            return f"the order was changed: {now} is asked for earlier than history records it"
        case Kind.REORDERED:
            return f"the order was changed: {now} is now asked for before {was}"
        case Kind.ADDED if recorded is None:
            return f"{now} was added: history goes on with a received event where the code now asks for it"
        case Kind.ADDED if isinstance(recorded, ENDINGS):
            return f"{now} was added: history records that the workflow ended here"
        case Kind.ADDED:
            return f"{now} was added before {was}, which the code still holds"
        case Kind.REMOVED:
            return _removed(scene, change)
        case Kind.ASKED_OTHERWISE:
            return (
                f"{was} {_FIELDS[difference.field]}: the code that makes it was changed, or what it is made from varies"
            )
        case Kind.ENDS_OTHERWISE:
            return f"the end was changed: recorded is that {was}, and now {now}"


def _was_now(scene: Scene) -> str:
    recorded, attempted = scene.difference.recorded, scene.difference.attempted
    assert recorded is not None, "a branch is found by what is recorded"
    now = "nothing" if attempted is None else _named(attempted)
    return f"without it the code asked for {_named(recorded)}, and asks for {now} now"


def _named(operation: RecordedOperation | actions.Action) -> str:
    text = title(operation)
    return f"a {text}" if text == "timer" else text


def _removed(scene: Scene, change: Change) -> str:
    attempted = scene.difference.attempted
    names = [_named(each.event) for each in change.gone[:_MOST_NAMES]]
    what = ", ".join(names) + (f" and {len(change.gone) - _MOST_NAMES} more" if len(change.gone) > _MOST_NAMES else "")
    verb = "was" if len(change.gone) == 1 else "were"
    where = f": the code waits at {scene.waits_at}" if scene.waits_at else ""
    if attempted is None and change.is_branch:
        return f"{what} {verb} moved or made conditional: the code still names it, and does not ask for it here{where}"
    if attempted is None:
        return f"{what} {verb} removed{where}, and has asked for nothing more"
    if isinstance(attempted, (actions.CompleteExecution, actions.FailExecution, actions.ContinueAsNew)):
        how = "made conditional" if change.is_branch else "removed"
        return f"the code ends earlier ({title(attempted)}): {what} {verb} {how}"
    behind = ", which history records behind it" if change.alternative is None else ""
    return f"{what} {verb} removed: the code goes on with {_named(attempted)}{behind}"


def is_patch_right(scene: Scene, change: Change, suspects: Suspects) -> bool:
    """Whether a patch helps: an edit was meant. What varies by itself must be made deterministic instead."""
    recorded_hash = scene.recorded_hash()
    if recorded_hash and recorded_hash == scene.code_hash:
        return False
    if isinstance(scene.difference.recorded, events.ExecutionFailed) or change.kind is Kind.ASKED_OTHERWISE:
        return False
    return not (suspects.found and change.is_branch)
