"""Workflows of two revisions held against each other: what would stop instances that run when the code is deployed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tenuto._lint.drift.comparing import Change, ChangeKind, Comparison, compare
from tenuto._lint.drift.program import Program, Workflow
from tenuto._lint.drift.reading import read_shape
from tenuto._lint.drift.shape import Node, Place, Token, patches, settle
from tenuto._lint.drift.sides import sentence, side_by_side

_HUNK_DISTANCE = 3
_SENTENCES = 3
_UNEXPECTED = "UNEXPECTED_ACTIVITY: Workflow tried to call different activity than recorded"
_DIFFERENT = "NON_DETERMINISTIC: Workflow code changed or behaves differently"


@dataclass(frozen=True)
class Pair:
    """A workflow at both revisions, with its shapes."""

    base: Workflow
    current: Workflow
    base_shape: tuple[Node, ...]
    current_shape: tuple[Node, ...]


@dataclass(frozen=True)
class Hunk:
    """Changes of one workflow that stand close together."""

    pair: Pair
    comparison: Comparison
    changes: tuple[Change, ...]

    @property
    def message(self) -> str:
        """What changed, without a full stop."""
        texts = [sentence(change, self.comparison) for change in self.changes]
        more = f"; {len(texts) - _SENTENCES} more" if len(texts) > _SENTENCES else ""
        return f"workflow '{self.pair.current.name}': {'; '.join(texts[:_SENTENCES])}{more}"

    def table(self, base: str) -> str:
        """Base and today, side by side."""
        return side_by_side(self.comparison, self.changes, base=base)

    @property
    def error(self) -> str:
        """What an instance that is past this point would stall with."""
        rows = self.comparison.rows[min(min(change.base, change.current) for change in self.changes) :]
        old = next((row.base for row in rows if row.base is not None and row.base.operation is not None), None)
        new = next((row.current for row in rows if row.current is not None and row.current.operation is not None), None)
        are_activities = all(
            one is not None and one.operation and one.operation.kind == "activity" for one in (old, new)
        )
        return _UNEXPECTED if are_activities and old and new and old.key != new.key else _DIFFERENT

    @property
    def place(self) -> Place | None:
        """Where to look in today's code: at the first change, else at what stands before or after what is gone."""
        first = self.changes[0]
        rows = self.comparison.rows
        if (current := rows[first.current].current) is not None:
            return current.place
        after = next((row.current for row in rows[first.base :] if row.current is not None), None)
        before = next((row.current for row in reversed(rows[: first.base]) if row.current is not None), None)
        found = before if after is None else after
        return None if found is None else found.place

    @property
    def is_condition(self) -> bool:
        """Whether only texts of conditions changed, which may mean the same as before."""
        return all(change.kind is ChangeKind.CONDITION for change in self.changes)

    @property
    def reused_patches(self) -> list[tuple[str, Place]]:
        """Patches of the base that guard something new too, where that is all that changed: each with its new place."""
        rows = self.comparison.rows
        before = set(_ids(self.pair.base_shape))
        fresh = [row.current for row in rows if row.current is not None and row.base is None]
        opened = {token.block: token for token in fresh if token.patch is not None and token.patch in before}
        found: dict[str, Place] = {}
        for change in self.changes:
            new = rows[change.current].current
            blocks = [] if new is None else [opened[block] for block, _ in new.around if block in opened]
            if change.kind is not ChangeKind.INSERTED or not blocks:
                return []
            found.setdefault(blocks[0].patch or "", blocks[0].place)
        return list(found.items())

    def tokens(self) -> tuple[list[Token], list[Token]]:
        """What changed, of the base and of today, with what it moved past and what stands inside a changed block."""
        rows = self.comparison.rows
        old = [token for change in self.changes if (token := rows[change.base].base) is not None]
        new = [token for change in self.changes if (token := rows[change.current].current) is not None]
        for change in self.changes:
            if change.kind is ChangeKind.REORDERED:
                passed = rows[min(change.base, change.current) : max(change.base, change.current)]
                old += [row.base for row in passed if row.base is not None]
                new += [row.current for row in passed if row.current is not None]
        blocks_old, blocks_new = {token.block for token in old}, {token.block for token in new}
        for row in rows:
            if row.base is not None and row.current is not None and row.base.operation is not None:
                is_old = any(block in blocks_old for block, _ in row.base.around)
                is_new = any(block in blocks_new for block, _ in row.current.around)
                if is_old or is_new:
                    old.append(row.base)
                    new.append(row.current)
        return old, new


def pair_up(base: Program, current: Program) -> tuple[list[Pair], list[Workflow], list[Workflow]]:
    """The workflows of the same name, those that only the base has, and those that are new."""
    pairs: list[Pair] = []
    left = list(current.workflows)
    gone: list[Workflow] = []
    for old in base.workflows:
        same = [new for new in left if (new.name, new.variant) == (old.name, old.variant)]
        if not same and not old.variant:
            named = [new for new in left if new.name == old.name]
            same = named if len(named) == 1 else []
        found = next((new for new in same if new.scope.module.path == old.scope.module.path), same[0] if same else None)
        if found is None:
            gone.append(old)
        else:
            left.remove(found)
            pairs.append(make_pair(old, found, base, current))
    return pairs, gone, left


def make_pair(old: Workflow, new: Workflow, base: Program, current: Program) -> Pair:
    """A workflow at both revisions."""
    return Pair(old, new, read_shape(old.scope, base), read_shape(new.scope, current))


@dataclass(frozen=True)
class Difference:
    """What the comparison of a workflow gave.

    Attributes:
        hunks: changes that stop instances of the base.
        dropped: patches that are gone, where today's code is what executions that took them did.
    """

    hunks: tuple[Hunk, ...]
    dropped: tuple[str, ...]


def difference(pair: Pair) -> Difference:
    """How a workflow changed for executions that began on the base.

    Such an execution gets False for a patch that the base did not have, wherever it has passed already; and True or
    False as recorded for one that is gone.
    """
    before, now = set(_ids(pair.base_shape)), set(_ids(pair.current_shape))
    current = settle(pair.current_shape, dict.fromkeys(now - before, False))
    gone = sorted(before - now)
    with_them = compare(settle(pair.base_shape, dict.fromkeys(gone, True)), current)
    if with_them.changes:
        return Difference(tuple(_hunks(pair, with_them)), ())
    alone = [one for one in gone if compare(_old_way(pair, gone, one), current).changes]
    return Difference((), tuple(alone))


def _old_way(pair: Pair, gone: Sequence[str], patch: str) -> tuple[Node, ...]:
    return settle(pair.base_shape, {one: one != patch for one in gone})


def _ids(shape: Sequence[Node]) -> list[str]:
    return [name for name, _ in patches(shape)]


def _hunks(pair: Pair, comparison: Comparison) -> Iterator[Hunk]:
    """Changes, those close together or crossing one another as one."""
    group: list[Change] = []
    end = -1
    for change in comparison.changes:
        first, last = sorted((change.base, change.current))
        if group and first > end + _HUNK_DISTANCE:
            yield Hunk(pair, comparison, tuple(group))
            group = []
        group.append(change)
        end = max(end, last)
    if group:
        yield Hunk(pair, comparison, tuple(group))


def patch_name(hunk: Hunk) -> str:
    """A name for the patch of a change: what it does, in words, unlike any patch that either revision has."""
    rows = hunk.comparison.rows
    first = next((change for change in hunk.changes if change.kind is not ChangeKind.CONDITION), hunk.changes[0])
    old, new = rows[first.base].base, rows[first.current].current
    match first.kind:
        case ChangeKind.RENAMED | ChangeKind.REPLACED:
            words = f"{_words(old)} to {_words(new)}"
        case ChangeKind.INSERTED:
            words = f"add {_words(new)}"
        case ChangeKind.REMOVED:
            words = f"drop {_words(old)}"
        case ChangeKind.REORDERED:
            words = f"move {_words(new)}"
        case _:
            words = f"change {hunk.pair.current.name}"
    return fresh_name(re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-"), hunk.pair)


def fresh_name(name: str, pair: Pair) -> str:
    """The name, or the first of `name-2`, `name-3` ... that no patch of either revision has."""
    taken = {*_ids(pair.base_shape), *_ids(pair.current_shape)}
    return next(one for one in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if one not in taken)


def _words(token: Token | None) -> str:
    if token is None or token.operation is None:
        return ""
    return token.operation.kind if token.operation.target is None else token.operation.target
