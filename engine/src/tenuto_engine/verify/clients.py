"""What clients were told, against what the store holds (I1, I5, I9). The format of the log: docs/verify.md.

The log is ground truth about acknowledgements: whoever wrote a line had the answer in hand. What it cannot say, it does
not: a command whose outcome is unknown excuses its consequences, and is itself never missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from tenuto_engine.core import events as e
from tenuto_engine.core.status import TERMINAL
from tenuto_engine.verify.facts import Facts
from tenuto_engine.verify.findings import Finding, Found

# An acknowledgement reaches the client after the store's clock has moved on, and clocks differ.
_MARGIN_MS = 2_000


class Line(msgspec.Struct, frozen=True):
    """One line of a client's log.

    `op`: start, event, terminate, suspend, resume, purge, rerun, result, or store-died. `asked_ms`, `at_ms`: when the
    command was first sent, and when its answer was there. `outcome`: ok, unknown, or why it was refused. `execution`:
    of the instance, where the answer named it. `sender`, `number`: of an event, with numbers rising per sender and
    target. `payload`: the JSON text of input, data or result. `status`: of a result.
    """

    op: str
    at_ms: int
    instance: str = ""
    asked_ms: int = 0
    outcome: str = "ok"
    execution: str = ""
    name: str = ""
    payload: str | None = None
    sender: str = ""
    number: int = 0
    status: str = ""


_decode = msgspec.json.Decoder(Line).decode


def read_log(text: bytes) -> list[Line]:
    """Decode a log; a last line without its end was being written when its writer died, and is left out.

    Raises:
        ValueError: a whole line is none; the message names it.
    """
    lines: list[Line] = []
    whole = text[: text.rfind(b"\n") + 1]
    for number, raw in enumerate(whole.splitlines(), 1):
        try:
            lines.append(_decode(raw))
        except msgspec.MsgspecError as error:
            raise ValueError(f"line {number} of the client log cannot be read: {error}") from error
    return lines


class Clients:
    """The log by instance, with the seconds that a store was allowed to lose.

    Args:
        lines: of all clients, in any order.
        lost_ms: what the durability tier allows to be lost before each recorded death of the store; milliseconds.
    """

    def __init__(self, lines: Sequence[Line], *, lost_ms: int = 0) -> None:
        self.count = len(lines)
        self._lost_ms = lost_ms
        self._deaths = [line.at_ms for line in lines if line.op == "store-died"]
        self._of: defaultdict[str, list[Line]] = defaultdict(list)
        for line in sorted(lines, key=lambda line: line.at_ms):
            if line.instance:
                self._of[line.instance].append(line)

    def instances(self) -> list[str]:
        return list(self._of)

    def lines_of(self, instance_id: str) -> Sequence[Line]:
        return self._of.get(instance_id, ())

    def may_be_lost(self, line: Line) -> bool:
        """Whether an acknowledgement lies in the window before a death of the store that the tier allows to lose."""
        return any(died - self._lost_ms <= line.at_ms <= died + _MARGIN_MS for died in self._deaths if self._lost_ms)


def check_clients(clients: Clients, facts: Facts) -> None:
    """Judge an instance that is there by what its clients were told."""
    lines = clients.lines_of(facts.instance_id)
    if lines:
        _check_start(clients, facts, lines)
        _check_events(clients, facts, lines)
        _check_results(clients, facts, lines)


def check_missing(clients: Clients, instance_id: str) -> Iterable[Finding]:
    """Judge an instance that is not there: it was purged, or never acknowledged, or lost."""
    lines = clients.lines_of(instance_id)
    starts = [line for line in lines if line.op in ("start", "rerun") and line.outcome == "ok"]
    # A purge that was begun may have happened, whatever was answered.
    purges = [line for line in lines if line.op == "purge"]
    found = Found(-1, f"instance '{instance_id}'")
    for line in starts[-1:]:
        is_purged = any(purge.at_ms >= line.asked_ms for purge in purges)
        if not is_purged and not clients.may_be_lost(line):
            text = "no such instance, and no purge"
            found.add("start-lost", "instance", expected=f"started at {line.at_ms}", found=text)
    return found.findings


def _check_start(clients: Clients, facts: Facts, lines: Sequence[Line]) -> None:
    starts = [line for line in lines if line.op == "start"]
    if not starts or facts.body.generation > 1 or facts.body.parent is not None or facts.body.rerun_of:
        return
    mine = [line for line in starts if line.execution == facts.head.execution_id]
    if not mine and any(line.execution for line in starts):
        _check_successor(clients, facts, starts)
        return
    # Where no answer named the execution, it is one of those that were asked for.
    said = {(line.name, _text(line.payload)) for line in (mine or starts)}
    started = _start_of(facts)
    if started is not None and (started.name, _text_of(started.input)) not in said:
        found = (started.name, _text_of(started.input))
        facts.found.add("start-differs", "start", expected=sorted(said, key=str), found=found)


def _check_successor(clients: Clients, facts: Facts, starts: Sequence[Line]) -> None:
    """The execution that stands there is nobody's that was told: fine if some start's outcome is unknown or unnamed."""
    told = [line for line in starts if line.outcome == "ok"]
    is_excused = any(line.outcome != "ok" or not line.execution for line in starts)
    if told and not is_excused and not any(map(clients.may_be_lost, told)):
        text = f"execution {facts.head.execution_id}"
        facts.found.add("start-lost", "metadata", expected=f"one of {[line.execution for line in told]}", found=text)


def _start_of(facts: Facts) -> e.ExecutionStarted | None:
    recorded = [*facts.history, *(message.event for message in facts.inbox)]
    return next((event for event in recorded if isinstance(event, e.ExecutionStarted)), None)


def _text(payload: str | None) -> str | None:
    return None if payload is None else _text_of(payload.encode())


def _text_of(payload: bytes | None) -> str | None:
    """JSON text without what two writers may write differently; what is no JSON as it stands."""
    if payload is None:
        return None
    try:
        return msgspec.json.encode(msgspec.json.decode(payload), order="deterministic").decode()
    except msgspec.MsgspecError:
        return payload.decode(errors="replace")


def _check_events(clients: Clients, facts: Facts, lines: Sequence[Line]) -> None:
    """Each acknowledged event is there once and in its sender's order, as far as this execution can tell."""
    raised = [event for event in facts.history if isinstance(event, e.EventRaised)]
    raised += [message.event for message in facts.inbox if isinstance(message.event, e.EventRaised)]
    places: defaultdict[tuple[str, str | None], list[int]] = defaultdict(list)
    for place, event in enumerate(raised):
        places[event.name.lower(), _text_of(event.payload)].append(place)
    newest: dict[str, tuple[int, int]] = {}
    sent = [line for line in lines if line.op == "event" and line.sender]
    for line in sorted(sent, key=lambda line: (line.sender, line.number)):
        record = f"event {line.number} of {line.sender}"
        there = places.get((line.name.lower(), _text(line.payload)), [])
        if len(there) > 1:
            facts.found.add("event-twice", record, expected="once", found=f"{len(there)} times")
        if not there:
            if line.outcome == "ok" and not _is_excused(clients, facts, line, lines):
                facts.found.add("event-lost", record, expected="in the inbox or the history", found="nowhere")
            continue
        number, place = newest.get(line.sender, (-1, -1))
        if there[0] < place:
            text = f"before event {number}, which was sent earlier"
            facts.found.add("event-order", record, expected=f"after event {number}", found=text)
        newest[line.sender] = (line.number, max(place, there[0]))


def _is_excused(clients: Clients, facts: Facts, line: Line, lines: Sequence[Line]) -> bool:
    """Whether an acknowledged event need not be seen: it was for another life, came after the end, or may be lost."""
    if facts.body.generation > 1 or clients.may_be_lost(line):
        return True  # the executions before took what they took with them
    began = facts.body.created_at_ms
    if line.asked_ms < began + _MARGIN_MS and any(x.op == "start" and x.at_ms > line.asked_ms for x in lines):
        return True
    if line.asked_ms < began:
        return True
    return facts.is_over and line.at_ms >= facts.body.completed_at_ms - _MARGIN_MS


def _check_results(clients: Clients, facts: Facts, lines: Sequence[Line]) -> None:
    """Everyone who waited was told the same, and what stands there; what a store may lose is told anew."""
    told: dict[str, tuple[str, str | None]] = {}
    for line in lines:
        if line.op != "result" or not line.execution or clients.may_be_lost(line):
            continue
        said = (line.status, _text(line.payload))
        if told.setdefault(line.execution, said) != said:
            text = told[line.execution]
            facts.found.add("result-differs", f"execution {line.execution}", expected=text, found=said)
        if line.execution == facts.head.execution_id and facts.is_whole:
            facts.found.expect("result-differs", "the end", expected=_end_of(facts), found=said)


def _end_of(facts: Facts) -> tuple[str, str | None]:
    last = facts.history[-1] if facts.history else None
    status = facts.head.status
    match last:
        case e.ExecutionCompleted():
            return status.name, _text_of(last.result)
        case e.ExecutionTerminated():
            return status.name, _text_of(last.output)
        case _:
            return status.name if status in TERMINAL else f"{status.name}, not ended", None
