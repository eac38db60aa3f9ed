"""What instances owe one another: children, their results, terminated trees, and messages on the way (I8, I14)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tenuto_engine.codec.events import UndecodableError, decode_event
from tenuto_engine.codec.records import Envelope, decode_envelope
from tenuto_engine.core import events as e
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.state import OpenChild
from tenuto_engine.ports.records import OutboxRecord
from tenuto_engine.verify.entries import unread_of
from tenuto_engine.verify.facts import Facts
from tenuto_engine.verify.findings import Finding, Found


class Member(msgspec.Struct, frozen=True):
    """What of an instance matters to others; its history is not kept.

    `children`: open, of this execution; `started`: all that this execution started; `answered`: the operations whose
    result waits in the inbox; `abandoned`: what its termination must reach; `is_ending`: a termination is unread.
    """

    shard: int
    stamp: str
    is_over: bool
    execution_id: str
    parent: e.Parent | None
    children: Sequence[OpenChild]
    started: frozenset[int]
    answered: frozenset[int]
    abandoned: Sequence[OpenChild]
    is_ending: bool


def member_of(facts: Facts) -> Member:
    """Keep of an instance what others are judged by."""
    state = facts.state
    last = facts.history[-1] if facts.history else None
    is_recursive = isinstance(last, e.ExecutionTerminated) and last.recursive
    return Member(
        shard=facts.shard,
        stamp=facts.found.stamp,
        is_over=facts.is_over,
        execution_id=facts.head.execution_id,
        parent=facts.body.parent,
        children=[] if facts.is_over else [_open(child) for child in state.children.values()],
        started=frozenset(event.event_id for event in facts.history if isinstance(event, e.ChildCreated)),
        answered=frozenset(unread_of(facts, (e.ChildCompleted, e.ChildFailed))),
        abandoned=state.open_children() if is_recursive else [],
        is_ending=any(isinstance(message.event, e.ExecutionTerminated) for message in facts.inbox),
    )


def _open(child: e.ChildCreated) -> OpenChild:
    return OpenChild(child.event_id, child.instance_id, child.child_execution_id)


class OnTheWay(msgspec.Struct):
    """What all outboxes hold: starts and results by (parent, execution, operation), terminations by target."""

    starts: set[tuple[str, str, int]] = set()
    results: set[tuple[str, str, int]] = set()
    ends: set[tuple[str, str]] = set()

    def take(self, envelope: Envelope, event: e.Event) -> None:
        """Note one outgoing message."""
        match event:
            case e.ExecutionStarted() if event.parent is not None:
                self.starts.add((event.parent.instance_id, event.parent.execution_id, event.parent.event_id))
            case e.ChildCompleted() | e.ChildFailed():
                self.results.add((envelope.instance_id, envelope.execution_id, event.event_id))
            case e.ExecutionTerminated():
                self.ends.add((envelope.instance_id, envelope.execution_id))
            case _:
                pass


def read_outbox(found: Found, records: Sequence[OutboxRecord], *, last: int, shards: int, way: OnTheWay) -> None:
    """Decode a shard's outgoing messages into `way`; judge their numbers and addresses."""
    for record in records:
        where = f"outbox {record.number}"
        if record.number > last:
            found.add("outbox-numbers", where, expected=f"at most {last}, the last given", found=record.number)
        try:
            envelope = decode_envelope(record.body)
            event = decode_event(envelope.event)
        except UndecodableError as error:
            found.add("outbox-unreadable", where, expected="bytes of a known encoding", found=error)
            continue
        found.expect(
            "outbox-numbers", where, expected=shard_of(envelope.instance_id, shards), found=record.target_shard
        )
        way.take(envelope, event)


def check_relations(members: dict[str, Member], way: OnTheWay) -> Iterable[Finding]:
    """Judge what instances owe one another, once all are read."""
    for instance_id, member in members.items():
        found = Found(member.shard, f"instance '{instance_id}'", member.stamp)
        for child in member.children:
            _check_child(found, instance_id, member, child, members=members, way=way)
        for child in member.abandoned:
            _check_abandoned(found, child, members=members, way=way)
        if member.parent is not None and not member.is_over:
            _check_parent(found, member.parent, members)
        yield from found.findings


def _check_child(
    found: Found, parent_id: str, parent: Member, child: OpenChild, *, members: dict[str, Member], way: OnTheWay
) -> None:
    """An open child is on its way, runs, or its result is on its way."""
    operation = (parent_id, parent.execution_id, child.event_id)
    if child.event_id in parent.answered or operation in way.starts or operation in way.results:
        return
    there = members.get(child.instance_id)
    if there is not None and not there.is_over and _is_child_of(there, operation):
        return
    what = f"child {child.event_id} '{child.instance_id}'"
    if there is None:
        text = "no such instance, and no message about it"
    elif not _is_child_of(there, operation):
        text = "an instance of another parent, and no result"
    else:
        text = "it has ended, and its result is nowhere"
    found.add("child-lost", what, expected="its start, the running child or its result", found=text)


def _is_child_of(member: Member, operation: tuple[str, str, int]) -> bool:
    parent = member.parent
    return parent is not None and (parent.instance_id, parent.execution_id, parent.event_id) == operation


def _check_abandoned(found: Found, child: OpenChild, *, members: dict[str, Member], way: OnTheWay) -> None:
    """A tree was terminated: what was open in it has ended, is ending, or is told to."""
    there = members.get(child.instance_id)
    if there is None or there.is_over or there.is_ending or there.parent is None:
        return
    if (child.instance_id, child.execution_id) in way.ends or (child.instance_id, "") in way.ends:
        return
    parent = there.parent
    if f"instance '{parent.instance_id}'" == found.subject and parent.event_id == child.event_id:
        text = f"it runs, execution {there.execution_id}; started as {child.execution_id}"
        found.add("terminate-lost", f"child '{child.instance_id}'", expected="ended, or told to end", found=text)


def _check_parent(found: Found, parent: e.Parent, members: dict[str, Member]) -> None:
    """A running child is open in the execution that started it, while that one lives."""
    there = members.get(parent.instance_id)
    if there is None or there.is_over or there.execution_id != parent.execution_id:
        return
    if parent.event_id not in there.started:
        text = f"'{parent.instance_id}' has no such operation"
        found.add("child-parent", "metadata", expected=f"child operation {parent.event_id} of its parent", found=text)
    elif all(child.event_id != parent.event_id for child in there.children):
        text = f"'{parent.instance_id}' has its result already"
        found.add("child-parent", "metadata", expected=f"open child operation {parent.event_id}", found=text)
