"""Two shapes held against each other: what changed, as far as replay notices.

The shapes are flattened and aligned. What has no partner is a change, unless no history can tell: an operation that
comes after everything that a path asked for before is new to every execution, and so is what a new handler asks for
after an error that used to end the execution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, takewhile

from tenuto._lint.drift.shape import Follows, Mark, Node, Token, flatten

# Operations are what is aligned; the rest decides between alignments that hold the same operations.
_OPERATION_WEIGHT = 1000
_COMPUTED_WEIGHT = 600
_SAME_HEADER, _OTHER_HEADER, _LEAF, _REST = 40, 12, 10, 2


class ChangeKind(StrEnum):
    """What happened to an operation, or to what decides about it."""

    RENAMED = "renamed"
    REPLACED = "replaced"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    WRAPPED = "now inside"
    UNWRAPPED = "no longer inside"
    CONDITION = "condition"
    ENDS_EARLY = "ends early"
    GOES_ON = "goes on"
    WAITS = "waits"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison: what the base has, and what today's code has in its place."""

    base: Token | None
    current: Token | None


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; `base` and `current` are rows of the comparison, equal where one row holds both sides."""

    kind: ChangeKind
    base: int
    current: int


@dataclass(frozen=True)
class Comparison:
    """The aligned shapes and what differs, in the order of the rows."""

    rows: tuple[Row, ...]
    changes: tuple[Change, ...]


def compare(base: Sequence[Node], current: Sequence[Node]) -> Comparison:
    """Aligns two shapes. Waits are looked at only where the operations agree: otherwise they differ by themselves."""
    for with_waits in (False, True):
        old, new = (flatten(shape, with_waits=with_waits) for shape in (base, current))
        found = _compare(old, new, Follows.WAIT if with_waits else Follows.OPERATION)
        if found.changes:
            return found
    return found


def _compare(base: list[Token], current: list[Token], least: Follows) -> Comparison:
    """`least`: what must come after a place in the base for something new there to be noticed."""
    pairs = _keep_blocks(_align(base, current), base, current)
    rows = tuple(_rows(pairs, base, current))
    differ = _Differences(rows, (base, current), dict(pairs), least)
    return Comparison(rows, tuple(sorted(differ.changes(), key=lambda change: min(change.base, change.current))))


# -- alignment


def _weight(base: Token, current: Token) -> int:
    if base.mark is not current.mark:
        return 0
    if base.operation is not None and current.operation is not None:
        if base.key == current.key:
            return _OPERATION_WEIGHT
        # A computed name may be any.
        is_computed = base.operation.is_computed or current.operation.is_computed
        return _COMPUTED_WEIGHT if is_computed and base.operation.kind == current.operation.kind else 0
    if base.key != current.key:
        return 0
    if base.mark is Mark.OPEN:
        return _SAME_HEADER if base.header == current.header else _OTHER_HEADER
    is_same_arm = base.mark is Mark.ARM and base.header == current.header
    return _LEAF if is_same_arm or base.mark in (Mark.WAIT, Mark.END) else _REST


def _is_same(base: Token, current: Token) -> bool:
    return (base.mark, base.key, base.header, base.depth) == (
        current.mark,
        current.key,
        current.header,
        current.depth,
    )


def _align(base: list[Token], current: list[Token]) -> list[tuple[int, int]]:
    """The heaviest common subsequence, as index pairs."""
    first = 0
    while first < min(len(base), len(current)) and _is_same(base[first], current[first]):
        first += 1
    last = 0
    while last < min(len(base), len(current)) - first and _is_same(base[-1 - last], current[-1 - last]):
        last += 1
    middle = _align_middle(base[first : len(base) - last], current[first : len(current) - last])
    tail = [(len(base) - i, len(current) - i) for i in range(last, 0, -1)]
    return [(i, i) for i in range(first)] + [(b + first, c + first) for b, c in middle] + tail


def _align_middle(base: list[Token], current: list[Token]) -> list[tuple[int, int]]:
    best = [[0] * (len(current) + 1) for _ in range(len(base) + 1)]
    for b in range(len(base) - 1, -1, -1):
        row, below = best[b], best[b + 1]
        for c in range(len(current) - 1, -1, -1):
            weight = _weight(base[b], current[c])
            row[c] = max(below[c], row[c + 1], below[c + 1] + weight if weight else 0)
    pairs: list[tuple[int, int]] = []
    b = c = 0
    while b < len(base) and c < len(current):
        weight = _weight(base[b], current[c])
        if weight and best[b][c] == best[b + 1][c + 1] + weight:
            pairs.append((b, c))
            b, c = b + 1, c + 1
        elif best[b][c] == best[b + 1][c]:
            b += 1
        else:
            c += 1
    return pairs


def _keep_blocks(pairs: list[tuple[int, int]], base: list[Token], current: list[Token]) -> list[tuple[int, int]]:
    """Without pairs of arms and ends whose blocks are not paired: they only look alike."""
    partner = dict(pairs)
    return [
        (b, c)
        for b, c in pairs
        if base[b].mark not in (Mark.ARM, Mark.CLOSE) or partner.get(base[b].block) == current[c].block
    ]


def _rows(pairs: list[tuple[int, int]], base: list[Token], current: list[Token]) -> Iterator[Row]:
    b = c = 0
    for next_b, next_c in [*pairs, (len(base), len(current))]:
        yield from (Row(token, None) for token in base[b:next_b])
        yield from (Row(None, token) for token in current[c:next_c])
        if next_b < len(base):
            yield Row(base[next_b], current[next_c])
        b, c = next_b + 1, next_c + 1


# -- differences


class _Differences:
    """Reads changes off aligned rows."""

    def __init__(
        self,
        rows: Sequence[Row],
        sides: tuple[Sequence[Token], Sequence[Token]],
        partner: dict[int, int],
        least: Follows,
    ) -> None:
        self._rows = rows
        self._base, self._current = sides
        self._partner = partner
        self._least = least
        self._row_of = {id(row.current): i for i, row in enumerate(rows) if row.current is not None}
        self._partner_of = {c: b for b, c in partner.items()}
        self._base_starts, self._starts = _arm_starts(self._base), _arm_starts(self._current)
        self._closings = {token.block: token for token in self._base if token.mark is Mark.CLOSE}
        # Per row: how many rows before it have both sides, and the last token of the base before it.
        self._stayed = [0]
        self._former: list[Token | None] = [None]
        for row in rows:
            self._stayed.append(self._stayed[-1] + bool(row.base and row.current))
            self._former.append(row.base or self._former[-1])
        # Arms of blocks that hold what counts, and of those with such that stayed.
        self._counted = (Mark.OPERATION,) if least is Follows.OPERATION else (Mark.OPERATION, Mark.WAIT)
        stayed = [(row.base, row.current) for row in rows if row.base and row.current and self._counts(row.base)]
        self._holding = {block for _, current in stayed for block, _ in current.around}
        self._held = {way for base, _ in stayed for way in base.around}
        self._asking = {way for token in self._base if self._counts(token) for way in token.around}

    def changes(self) -> Iterator[Change]:
        """All changes, each once."""
        removed = [i for i, row in enumerate(self._rows) if _is_operation(row.base) and row.current is None]
        inserted = [i for i, row in enumerate(self._rows) if _is_operation(row.current) and row.base is None]
        for b, c in self._reordered(removed, inserted):
            yield Change(ChangeKind.REORDERED, b, c)
        for b, c in self._in_place(removed, inserted):
            is_same_kind = _kind(self._rows[b].base) == _kind(self._rows[c].current)
            yield Change(ChangeKind.RENAMED if is_same_kind else ChangeKind.REPLACED, b, c)
        yield from (Change(ChangeKind.REMOVED, i, i) for i in removed)
        yield from (Change(ChangeKind.INSERTED, i, i) for i in inserted if self._is_noticed(i, self._least))
        yield from self._decisions()
        yield from self._leaves()

    def _reordered(self, removed: list[int], inserted: list[int]) -> list[tuple[int, int]]:
        """Operations that are gone here and new there; they are taken out of both lists."""
        pairs: list[tuple[int, int]] = []
        for b in list(removed):
            found = next((c for c in inserted if self._key(b) == self._key(c)), None)
            if found is not None:
                pairs.append((b, found))
                removed.remove(b)
                inserted.remove(found)
        return pairs

    def _in_place(self, removed: list[int], inserted: list[int]) -> list[tuple[int, int]]:
        """Operations with another one in their place, nothing that stayed between the two; taken out of both lists."""
        pairs: list[tuple[int, int]] = []
        for b in list(removed):
            near = [c for c in inserted if self._is_one_gap(b, c)]
            found = next((c for c in near if _kind(self._rows[b].base) == _kind(self._rows[c].current)), None)
            found = near[0] if found is None and near else found
            if found is not None:
                pairs.append((b, found))
                removed.remove(b)
                inserted.remove(found)
        return pairs

    def _is_one_gap(self, one: int, other: int) -> bool:
        return self._stayed[min(one, other)] == self._stayed[max(one, other)]

    def _key(self, i: int) -> str:
        token = self._rows[i].base or self._rows[i].current
        return "" if token is None else token.key

    def _is_followed(self, i: int, least: Follows) -> bool:
        """Whether the base may ask for something after this place, or wait."""
        before = self._former[i]
        if before is None:
            return any(self._counts(token) for token in self._base)
        return before.follows >= least

    def _is_noticed(self, i: int, least: Follows) -> bool:
        """Whether an execution that began on the base's code may reach this new operation where it expects another."""
        token = self._rows[i].current
        if token is None:
            return False
        for opener, arm in reversed(token.around):
            if self._starts[opener, arm] in self._partner_of:
                continue
            if self._current[opener].key == "try" and arm > 0:
                # The error that leads here used to end the execution, where no other handler was there to catch it.
                return any(self._is_caught(block, way) for block, way in token.around)
            if self._current[opener].key == "match" and opener in self._partner_of:
                return True  # The value that leads here used to go to another case.
        return self._is_followed(self._way_in(i, token), least)

    def _way_in(self, i: int, token: Token) -> int:
        """The row up to which a path to this token is one of the base's: where it enters an arm with nothing of it."""
        for opener, arm in token.around:
            start = self._row_of[id(self._current[self._starts[opener, arm]])]
            if opener not in self._partner_of and self._stayed[start] == self._stayed[i]:
                return self._row_of[id(self._current[opener])]
        return i

    def _is_caught(self, opener: int, arm: int) -> bool:
        return self._current[opener].key == "try" and arm == 0 and opener in self._partner_of

    # -- what decides about operations that stayed

    def _decisions(self) -> Iterator[Change]:
        """Changed conditions, and blocks that are new or gone around operations that stayed."""
        for i, row in enumerate(self._rows):
            base, current = row.base, row.current
            if base is not None and current is not None:
                if base.header != current.header:
                    yield Change(ChangeKind.CONDITION, i, i)
                elif self._counts(base) and self._is_elsewhere(base, current):
                    yield Change(ChangeKind.REORDERED, i, i)
            elif current is not None and current.mark is Mark.OPEN and self._holds_stayed(current.block):
                yield Change(ChangeKind.WRAPPED, i, i)
            elif base is not None and base.mark is Mark.OPEN and self._held_stayed(base.block):
                yield Change(ChangeKind.UNWRAPPED, i, i)

    def _is_elsewhere(self, base: Token, current: Token) -> bool:
        """Whether an operation left an arm of a block that stayed, or came into one; or a handler of any block."""
        before: set[tuple[int, int | None]] = set()
        for opener, arm in base.around:
            start = self._base_starts[opener, arm]
            if opener in self._partner:
                before.add((self._partner[opener], self._partner.get(start)))
            elif self._base[opener].key == "try" and arm > 0:
                return True
        now: set[tuple[int, int | None]] = set()
        for opener, arm in current.around:
            if opener in self._partner_of:
                now.add((opener, self._starts[opener, arm]))
            elif self._current[opener].key == "try" and arm > 0:
                return True
        return before != now

    def _holds_stayed(self, opener: int) -> bool:
        """Whether a block that is new stands around an operation that is not. A `try` alone decides nothing."""
        return self._current[opener].key != "try" and opener in self._holding

    def _held_stayed(self, opener: int) -> bool:
        """Whether a block that is gone stood around an operation that is still there, and could have kept it out.

        Where nothing comes after the block, an execution that took the way around had asked for everything.
        """
        arms = list(takewhile(lambda arm: (opener, arm) in self._base_starts, count()))
        if self._base[opener].key == "try":
            goes_on = any(self._goes_on(opener, arm) for arm in arms[1:])
            return goes_on and (opener, 0) in self._held
        ways = [arm for arm in arms if (opener, arm) in self._held]
        if len(ways) != 1:
            return bool(ways)  # What was one or the other is now both.
        asks_otherwise = any((opener, arm) in self._asking for arm in arms if arm not in ways)
        return self._closings[opener].is_followed or asks_otherwise or self._base[opener].key == "loop"

    def _goes_on(self, opener: int, arm: int) -> bool:
        """Whether an error that a handler of the base catches leads to more operations."""
        last = next((token for token in reversed(self._base) if token.around[-1:] == ((opener, arm),)), None)
        is_ended = last is not None and last.mark is Mark.END
        return (opener, arm) in self._asking or (not is_ended and self._closings[opener].is_followed)

    # -- where paths end, and where they wait

    def _leaves(self) -> Iterator[Change]:
        for i, row in enumerate(self._rows):
            if row.base is not None and row.current is not None:
                continue
            token = row.base or row.current
            if token is None or token.mark not in (Mark.WAIT, Mark.END):
                continue
            if token.mark is Mark.WAIT:
                kind, least = ChangeKind.WAITS, Follows.OPERATION
            else:
                kind, least = ChangeKind.ENDS_EARLY if row.current is not None else ChangeKind.GOES_ON, self._least
            followed = self._is_noticed(i, least) if row.base is None else token.is_followed or self._held_several(i)
            if followed and not self._is_in_new_block(row.current):
                yield Change(kind, i, i)

    def _held_several(self, i: int) -> bool:
        """Whether a wait that is gone may have been for several tasks: then history goes on after the first of them.

        It was for one where it stood right after an operation, and that after a wait, or first.
        """
        token = self._rows[i].base
        asked = self._former[i]
        if token is None or token.mark is not Mark.WAIT:
            return False
        if asked is None or asked.mark is not Mark.OPERATION or asked.around != token.around:
            return True
        before = self._former[next(k for k in range(i) if self._rows[k].base is asked)]
        return before is not None and before.mark is not Mark.WAIT

    def _counts(self, token: Token) -> bool:
        """Whether a token is an operation; where waits are compared, also a wait."""
        return token.mark in self._counted

    def _is_in_new_block(self, token: Token | None) -> bool:
        """Whether a block is reported already that holds this token and operations that stayed."""
        return token is not None and any(
            opener not in self._partner_of and self._holds_stayed(opener) for opener, _ in token.around
        )


def _arm_starts(tokens: Sequence[Token]) -> dict[tuple[int, int], int]:
    """The token that begins each arm of each block."""
    starts: dict[tuple[int, int], int] = {}
    arms: Counter[int] = Counter()
    for i, token in enumerate(tokens):
        if token.mark in (Mark.OPEN, Mark.ARM):
            starts[token.block, arms[token.block]] = i
            arms[token.block] += 1
    return starts


def _is_operation(token: Token | None) -> bool:
    return token is not None and token.mark is Mark.OPERATION


def _kind(token: Token | None) -> str:
    return "" if token is None or token.operation is None else token.operation.kind
