"""Transcripts: commands to one instance, and everything that the core made of them, as text.

A file is a sequence of blocks, parted by empty lines. A block is a command with its indented arguments, a line of
four dashes, and the answer. Lines that begin with `#` are for the reader. Commands:

    start ExecutionStarted(...)      begin an instance
    limits commit_records=3          bounds of the next `start`
    clock 5000                       set the time, Unix ms
    receive                          messages arrive, one a line, unread until a turn takes them
    turn [status=TEXT]               run turns until nothing is left to do; the code asks for the lines' actions once
    load                             drop the memory and fold the stored history
    rerun EVENT_ID [input=TEXT]      begin another instance from this one's history

Structs are written as calls with literal arguments: `ScheduleActivity(0, "pack", b"7")`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from bare_core import BareCore, FixedClock, TurnTrace
from tenuto_engine.codec.events import decode_event
from tenuto_engine.codec.records import decode_envelope, decode_inbox, decode_metadata
from tenuto_engine.core import actions, events
from tenuto_engine.core.limits import Limits
from tenuto_engine.core.rerun import RerunRefused, plan_rerun
from tenuto_engine.ports.operations import Commit

NAMES: dict[str, Any] = {
    name: kind
    for module in (events, actions)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}


@dataclass(frozen=True)
class Block:
    """One command, its arguments, the comment above it, and the recorded answer."""

    comment: str
    command: str
    arguments: tuple[str, ...]
    answer: str

    def text(self, answer: str) -> str:
        """The block as it stands in a file, with `answer`."""
        lines = [self.command, *(f"  {argument}" for argument in self.arguments), "----", answer]
        return self.comment + "\n".join(lines).rstrip("\n") + "\n"


def blocks(text: str) -> Iterator[Block]:
    """Parse a transcript."""
    for part in text.split("\n\n"):
        lines = part.strip("\n").splitlines()
        comment = [line for line in lines if line.startswith("#")]
        rest = [line for line in lines if not line.startswith("#")]
        if not rest:
            yield Block("\n".join(comment), "", (), "")
            continue
        dashes = rest.index("----") if "----" in rest else len(rest)
        asked = tuple(line.strip() for line in rest[1:dashes])
        above = "".join(f"{line}\n" for line in comment)
        yield Block(above, rest[0], asked, "\n".join(rest[dashes + 1 :]))


def rewritten(text: str) -> str:
    """The transcript with the answers that the core gives now."""
    script = Script()
    parts = [
        block.text(script.run(block.command, block.arguments)) if block.command else f"{block.comment}\n"
        for block in blocks(text)
    ]
    return "\n".join(parts)


def parse(text: str) -> Any:
    """A struct written as a call, or a literal."""
    return _value(ast.parse(text, mode="eval").body)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name), ast.unparse(node)
        fields = {keyword.arg: _value(keyword.value) for keyword in node.keywords if keyword.arg is not None}
        return NAMES[node.func.id](*map(_value, node.args), **fields)
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    return ast.literal_eval(node)


def show(value: Any) -> str:
    """A struct as a call, without what is as it is by default."""
    if isinstance(value, msgspec.Struct):
        shown = [
            f"{field.name}={show(getattr(value, field.name))}"
            for field in msgspec.structs.fields(value)
            if field.required or getattr(value, field.name) not in (field.default, [], "")
        ]
        return f"{type(value).__name__}({', '.join(shown)})"
    if isinstance(value, list):
        return f"[{', '.join(map(show, value))}]"
    if isinstance(value, Enum):
        return value.name
    return repr(value)


class Script:
    """Runs a transcript's commands, one instance at a time."""

    def __init__(self) -> None:
        self._limits = Limits()
        self._at_ms = 1_000
        self._core: BareCore

    def run(self, command: str, arguments: Sequence[str]) -> str:
        """Do one command; returns the answer's text."""
        name, *words = command.split()
        options = dict(word.split("=", 1) for word in words if "=" in word and "(" not in word)
        rest = command[len(name) :].strip()
        match name:
            case "limits":
                self._limits = Limits(**{key: int(value) for key, value in options.items()})
                return "ok"
            case "clock":
                self._at_ms = int(rest)
                self._set_clock()
                return "ok"
            case "start":
                self._core = BareCore(parse(rest), limits=self._limits)
                self._set_clock()
                return self._where()
            case "receive":
                for argument in arguments:
                    self._core.receive(parse(argument))
                return self._where()
            case "turn":
                status = options.get("status")
                return self._turns([parse(x) for x in arguments], None if status is None else status.encode())
            case "load":
                return self._load()
            case "rerun":
                return self._rerun(int(words[0]), options.get("input"))
            case _:
                raise ValueError(f"a transcript has no command '{name}'")

    def _set_clock(self) -> None:
        if hasattr(self, "_core"):
            assert isinstance(self._core.clock, FixedClock)
            self._core.clock.at_ms = self._at_ms

    def _where(self) -> str:
        state = self._core.live.state
        pending = [name for name in ("activities", "timers", "children") if getattr(state, name)]
        held = f", held {state.hold.name}" if state.hold else ""
        opened = "".join(f", {name} {sorted(getattr(state, name))}" for name in pending)
        return (
            f"{state.status.name}{held}, generation {state.generation}, history {state.length}, "
            f"unread {len(self._core.live.mail)}{opened}"
        )

    def _turns(self, asked: Sequence[Any], status: bytes | None) -> str:
        lines: list[str] = []
        while (trace := self._core.turn(asked, custom_status=status)).plan is not None:
            lines += _trace(trace)
            if trace.plan.needs_worker:
                asked, status = (), None
            if not self._core.live.mail:
                break
        return "\n".join([*(lines or ["nothing to do"]), self._where()])

    def _load(self) -> str:
        core, state = self._core, self._core.live.state
        head = core.head
        mail = core.live.mail
        core.live = core._load(head, core.metadata)
        core.live.mail = mail
        same = "the same" if core.live.state == state else f"another: {show(core.live.state)}"
        return f"{same}\n{self._where()}"

    def _rerun(self, event_id: int, payload: str | None) -> str:
        history = [decode_event(raw) for raw in self._core.history]
        override = None if payload is None else (payload.encode(),)
        try:
            plan = plan_rerun(history, event_id=event_id, instance_id="order-2", execution_id="x2", override=override)
        except RerunRefused as refused:
            return f"refused: {refused}"
        lines = [f"history {index} {show(event)}" for index, event in enumerate(plan.history)]
        return "\n".join([*lines, *(f"receives {show(event)}" for event in plan.messages)])


def _trace(trace: TurnTrace) -> list[str]:
    plan = trace.plan
    assert plan is not None
    void = f", void {plan.void}" if plan.void else ""
    releases = ", releases the hold" if plan.releases else ""
    runs = "by a worker" if plan.needs_worker else "without a worker"
    lines = [f"plan: recorded {plan.recorded}{void}, {runs}{releases}"]
    lines += [f"event: {show(event)}" for event in trace.events]
    lines += [f"effect: {show(effect)}" for effect in trace.effects]
    for commit in trace.commits:
        lines += _commit(commit)
    return lines


def _commit(commit: Commit) -> list[str]:
    head, body = commit.head, decode_metadata(commit.metadata)
    flags = [name for name in ("renew", "keep_ready", "close") if getattr(commit, name)]
    first = (
        f"commit {head.commit_id} on '{commit.base_commit_id}' at {commit.base_length}: {head.status.name}, "
        f"history +{len(commit.history)} = {head.history_length}, consumed {list(commit.consumed)}"
    )
    lines = ["; ".join([first, *flags])]
    if commit.custom_status is not None:
        lines.append(f"  custom status {commit.custom_status!r}")
    if body.children:
        lines.append(f"  carries children {show(body.children)}")
    lines += [f"  + activity {x.key.event_id}, look at {x.look_at_ms}" for x in commit.activities_set]
    lines += [f"  - activity {x.event_id}" for x in commit.activities_removed]
    lines += [f"  + reminder {x.key.kind} {x.key.event_id} due {x.due_at_ms}" for x in commit.reminders_set]
    lines += [f"  - reminder {x.kind} {x.event_id}" for x in commit.reminders_removed]
    for send in commit.outbox:
        sent = decode_envelope(send.body)
        to = f"'{sent.instance_id}'" + (f" execution {sent.execution_id}" if sent.execution_id else "")
        lines.append(f"  outbox to shard {send.target_shard}, {to}: {sent.id} {show(decode_event(sent.event))}")
    for target, message in commit.appends:
        event = decode_event(decode_inbox(message.body).event)
        lines.append(f"  append to '{target}': {message.id} {show(event)}")
    if commit.index is not None:
        former = commit.old_index.status.name if commit.old_index is not None else "none"
        lines.append(f"  index {former} -> {commit.index.status.name}")
    return lines
