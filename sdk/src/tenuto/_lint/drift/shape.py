"""The shape of a workflow: which operations it asks for, in which order, on which paths.

A shape is a sequence of nodes. Replay holds history against operations one by one (kind and name), and looks at which
of them were asked for before each wait; so these, and the branches and loops around them, are all a shape keeps.
Inputs, results and durations are left out: replay does not compare them.

`flatten` gives the same as a list of tokens, which is what is compared and shown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from itertools import takewhile

from tenuto._lint.project import Module


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: the syntax node, and the function that holds it."""

    module: Module
    function: str
    node: ast.AST

    @property
    def line(self) -> int:
        """Its first line, from 1."""
        line: int = getattr(self.node, "lineno", 1)
        return line


@dataclass(frozen=True, slots=True)
class Operation:
    """One request to the context. `target` is None where the kind has none, or where the code computes it."""

    kind: str
    target: str | None
    place: Place
    is_computed: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """A `yield` or `await`; `is_any`: for the first of several tasks; `is_single`: for one of them."""

    is_any: bool
    place: Place
    is_single: bool = False


class EndKind(StrEnum):
    """How a path leaves its sequence."""

    RETURN = "return"
    RAISE = "raise"
    LEAVE = "return from the helper"
    BREAK = "break"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class End:
    """The path ends here."""

    kind: EndKind
    place: Place


@dataclass(frozen=True, slots=True)
class Arm:
    """One way through a block. `header` is for people; `key` the same without the names of local variables."""

    header: str
    key: str
    nodes: tuple[Node, ...]
    place: Place


class BlockKind(StrEnum):
    """What decides which arm is taken."""

    IF = "if"
    LOOP = "loop"
    MATCH = "match"
    TRY = "try"
    PATCH = "patch"


@dataclass(frozen=True, slots=True)
class Block:
    """A branch, loop or `try`. Of an `if` and a patch, the second arm is the other case; of a `try`, its handlers."""

    kind: BlockKind
    arms: tuple[Arm, ...]
    patch: str | None = None


Node = Operation | Wait | End | Block


def ends(nodes: Sequence[Node]) -> bool:
    """Whether no path leads past the last node."""
    if not nodes:
        return False
    last = nodes[-1]
    if isinstance(last, Block) and last.kind in (BlockKind.IF, BlockKind.PATCH):
        return all(ends(arm.nodes) for arm in last.arms)
    return isinstance(last, End)


def trim(nodes: Sequence[Node], kinds: frozenset[EndKind]) -> tuple[Node, ...]:
    """Without the ends at the tail: where nothing follows, leaving and running out are the same."""
    kept = list(nodes)
    while kept and isinstance(last := kept[-1], End) and last.kind in kinds:
        kept.pop()
    if kept and isinstance(last := kept[-1], Block) and last.kind is not BlockKind.LOOP:
        arms = tuple(replace(arm, nodes=trim(arm.nodes, kinds)) for arm in last.arms)
        kept[-1:] = [replace(last, arms=arms)] if any(arm.nodes for arm in arms) else []
    return tuple(kept)


def settle(nodes: Sequence[Node], answers: dict[str, bool]) -> tuple[Node, ...]:
    """The shape for executions to which the patches have these answers; other patches stay branches."""
    settled: list[Node] = []
    for node in nodes:
        if not isinstance(node, Block):
            settled.append(node)
        elif node.patch in answers:
            settled += settle(node.arms[0 if answers[node.patch] else 1].nodes, answers)
        else:
            arms = tuple(replace(arm, nodes=settle(arm.nodes, answers)) for arm in node.arms)
            settled += [replace(node, arms=arms)] if any(arm.nodes for arm in arms) else []
    return tuple(settled)


def walk(nodes: Sequence[Node]) -> Iterator[Node]:
    """All nodes, those inside blocks included."""
    for node in nodes:
        yield node
        if isinstance(node, Block):
            for arm in node.arms:
                yield from walk(arm.nodes)


def patches(nodes: Sequence[Node]) -> list[tuple[str, Place]]:
    """The patches that the code asks for, in order, each as often as it is asked for."""
    found = [node for node in walk(nodes) if isinstance(node, Block) and node.patch is not None]
    return [(node.patch, node.arms[0].place) for node in found if node.patch is not None]


class Follows(IntEnum):
    """What may come after a place."""

    NOTHING = 0
    WAIT = 1
    OPERATION = 2


class Mark(StrEnum):
    """What a token is."""

    OPERATION = "operation"
    WAIT = "wait"
    END = "end"
    OPEN = "open"
    ARM = "arm"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Token:
    """One line of a flattened shape.

    Attributes:
        mark: what it is.
        text: for people.
        key: what it is compared by.
        place: where it stands.
        around: the blocks around it, the outermost first: index of the token that opens it, and the arm inside it.
        block: of `OPEN`, `ARM` and `CLOSE`: index of the token that opens this block; else -1.
        follows: the most that may come after it, on some path.
        header: of `OPEN` and `ARM`: the condition, compared apart.
        operation: of `OPERATION`: what it stands for.
        patch: of `OPEN`: the patch that is asked for.
    """

    mark: Mark
    text: str
    key: str
    place: Place
    around: tuple[tuple[int, int], ...]
    block: int
    follows: Follows
    header: str = ""
    operation: Operation | None = None
    patch: str | None = None

    @property
    def is_followed(self) -> bool:
        """Whether an operation may come after it."""
        return self.follows is Follows.OPERATION

    @property
    def depth(self) -> int:
        """How many blocks are around it."""
        return len(self.around)


def operation_text(operation: Operation) -> str:
    """An operation for people."""
    if operation.is_computed:
        return f"{operation.kind} {operation.target}"
    return operation.kind if operation.target is None else f"{operation.kind} '{operation.target}'"


def _most(nodes: Sequence[Node]) -> Follows:
    """The most that a sequence holds."""
    kinds = [type(node) for node in walk(nodes)]
    if Operation in kinds:
        return Follows.OPERATION
    return Follows.WAIT if Wait in kinds else Follows.NOTHING


def _is_shown(block: Block, *, with_waits: bool) -> bool:
    return with_waits or any(isinstance(node, Operation | End) for node in walk([block]))


@dataclass(frozen=True, slots=True)
class _Around:
    """What surrounds a sequence: blocks, and what may come after it, and after the nearest loop."""

    blocks: tuple[tuple[int, int], ...] = ()
    follows: Follows = Follows.NOTHING
    after_loop: Follows = Follows.NOTHING


def flatten(nodes: Sequence[Node], *, with_waits: bool) -> list[Token]:
    """The shape as tokens, in the order of the source."""
    tokens: list[Token] = []
    _flatten(nodes, tokens, _Around(), with_waits=with_waits)
    return tokens


def _flatten(nodes: Sequence[Node], tokens: list[Token], around: _Around, *, with_waits: bool) -> None:
    for i, node in enumerate(nodes):
        inside = replace(around, follows=_may_follow(nodes[i + 1 :], around.follows))
        if isinstance(node, Block):
            if _is_shown(node, with_waits=with_waits):
                _flatten_block(node, tokens, inside, with_waits=with_waits)
        elif isinstance(node, Wait):
            # Waiting twice in a row is waiting once: for both.
            if with_waits and not (i > 0 and _is_plain_wait(nodes[i - 1]) and _is_plain_wait(node)):
                tokens.append(replace(_leaf(node, inside), key=_wait_key(nodes, i)))
        else:
            tokens.append(_leaf(node, inside))


def _is_plain_wait(node: Node) -> bool:
    return isinstance(node, Wait) and not node.is_any


def _wait_key(nodes: Sequence[Node], i: int) -> str:
    """What a run of waits is compared by: whether it is for all that was asked for since the former, or for some."""
    first = nodes[i]
    run = list(takewhile(_is_plain_wait, nodes[i:]))
    asked = list(takewhile(lambda node: not isinstance(node, Wait), reversed(nodes[:i])))
    if not run or not all(isinstance(one, Wait) and one.is_single for one in run):
        return "wait any" if isinstance(first, Wait) and first.is_any else "wait"
    count = sum(isinstance(one, Operation) for one in asked)
    return "wait" if len(run) >= count else f"wait for {len(run)} of {count}"


def _may_follow(rest: Sequence[Node], after: Follows) -> Follows:
    found = Follows.NOTHING
    for node in rest:
        if isinstance(node, End):
            return found
        found = max(found, _most([node]))
        if found is Follows.OPERATION:
            return found
    return max(found, after)


def _leaf(node: Operation | Wait | End, around: _Around) -> Token:
    follows = around.follows
    match node:
        case Operation():
            text, key = operation_text(node), f"{node.kind} {'?' if node.is_computed else node.target}"
            return Token(Mark.OPERATION, text, key, node.place, around.blocks, -1, follows, operation=node)
        case Wait():
            mark, text = Mark.WAIT, "wait for the first of them" if node.is_any else "wait"
            key = text
        case End():
            mark, text, key = Mark.END, node.kind.value, f"end {node.kind.value}"
            if node.kind in (EndKind.RETURN, EndKind.RAISE):
                follows = Follows.NOTHING
            elif node.kind is EndKind.BREAK:
                follows = around.after_loop
    return Token(mark, text, key, node.place, around.blocks, -1, follows)


def _flatten_block(block: Block, tokens: list[Token], around: _Around, *, with_waits: bool) -> None:
    opened_by = len(tokens)
    inside = [_most(arm.nodes) for arm in block.arms]
    is_loop = block.kind is BlockKind.LOOP
    for i, arm in enumerate(block.arms):
        after = around.follows
        if is_loop:
            after = max(after, inside[i])  # The next round.
        elif block.kind is BlockKind.TRY and i == 0:
            after = max(after, *inside[1:])
        follows = max(around.follows, *(inside if i == 0 else inside[i : i + 1]))
        mark, key = (Mark.OPEN, block.kind.value) if i == 0 else (Mark.ARM, f"{block.kind.value} arm")
        patch = block.patch if i == 0 else None
        tokens.append(
            Token(mark, arm.header, key, arm.place, around.blocks, opened_by, follows, header=arm.key, patch=patch)
        )
        within = _Around((*around.blocks, (opened_by, i)), after, around.follows if is_loop else around.after_loop)
        _flatten(arm.nodes, tokens, within, with_waits=with_waits)
    text = f"end of {block.arms[0].header.rstrip(':')}"
    place = block.arms[-1].place
    tokens.append(Token(Mark.CLOSE, text, "close", place, around.blocks, opened_by, around.follows))
