"""What a verification may find: one table of rules, and findings that name their rule.

The numbers I1-I20 and L1-L5 are those of docs/verify.md.
"""

from __future__ import annotations

import msgspec


class Rule(msgspec.Struct, frozen=True):
    """`claim`: what must hold; `advice`: what to do where it does not."""

    invariant: str
    claim: str
    advice: str


_REPORT = "keep a copy of the store and report this: no engine writes it"
_READ = f"the instance cannot be replayed; {_REPORT}, then purge the instance or run it again under another id"
_WAKE = "suspend and resume the instance: both wake it whatever it waits for; report it if that was needed"
_LEAVE = f"nothing depends on it; {_REPORT}"
_CLIENT = "an acknowledged command is missing: check which store died, when, and the durability it ran with"

RULES: dict[str, Rule] = {
    "terminal-event": Rule("I1", "one terminal event ends a history, and it is the status", _READ),
    "result-differs": Rule("I1", "every waiter is told the stored result", _REPORT),
    "history-names": Rule("I2", "history records are named 0 to n-1, n as metadata says", _READ),
    "history-bytes": Rule("I2", "metadata counts the bytes of the history", _REPORT),
    "history-unreadable": Rule("I2", "every record can be decoded", _READ),
    "history-illegal": Rule("I2", "a history is a legal sequence of facts of its execution", _READ),
    "turn-time": Rule("I2", "the time of turns never goes back", _READ),
    "epoch-order": Rule("I3", "the epoch of turns never goes back", _REPORT),
    "epoch-ahead": Rule("I3", "no turn has a higher epoch than the shard's lease", _REPORT),
    "lease-record": Rule("I4", "a lease record has an owner and a token, or neither, and an epoch", _REPORT),
    "inbox-numbers": Rule("I5", "the inbox holds what its numbering says is unread", _WAKE),
    "inbox-unreadable": Rule("I5", "every message can be decoded", _READ),
    "event-lost": Rule(
        "I5", "an acknowledged event is in the inbox or the history, or its instance had ended", _CLIENT
    ),
    "event-twice": Rule("I5", "an acknowledged event has its effect once", _REPORT),
    "event-order": Rule("I5", "events of one sender keep their order", _REPORT),
    "seen-moment": Rule("I5", "remembered command ids came in the past", _REPORT),
    "timer-early": Rule("I6", "no timer fires before it is due", _REPORT),
    "reminder-void": Rule("I6", "each reminder belongs to something that waits for it", _LEAVE),
    "reminder-lost": Rule("I6", "what waits for a moment has its reminder", _WAKE),
    "activity-lost": Rule("I7", "each open call has its entry, or its result waits in the inbox", _WAKE),
    "activity-void": Rule("I7", "each activity entry belongs to an open call", _LEAVE),
    "activity-attempts": Rule("I7", "no call is tried more often than its policy allows", _REPORT),
    "activity-unseen": Rule("I7", "a completed call has run, with the recorded attempt", _REPORT),
    "activity-key": Rule("I7", "the idempotency key of a call is the same for every attempt", _REPORT),
    "child-lost": Rule("I8", "each open child runs, or its start or its result is on the way", _WAKE),
    "child-parent": Rule("I8", "a running child is open in the execution that started it", _REPORT),
    "outbox-numbers": Rule("I8", "outbox messages are addressed and numbered as they were sent", _REPORT),
    "outbox-unreadable": Rule("I8", "every outgoing message can be decoded", _REPORT),
    "start-lost": Rule("I9", "an acknowledged start has made its instance", _CLIENT),
    "start-differs": Rule("I9", "an instance has the name and input it was started with", _REPORT),
    "terminate-lost": Rule("I14", "terminating a tree reaches every open child", "terminate the child by its own id"),
    "orphan": Rule("I15", "nothing is stored that belongs to nothing", _LEAVE),
    "retention-lost": Rule("I15", "what has ended has the reminder that purges it", "purge the instance"),
    "index-differs": Rule("I16", "the visibility indexes name each instance once, as it stands", _REPORT),
    "open-count": Rule("I16", "the stored counts of open instances are those of a recount", _REPORT),
    "plaintext": Rule("I19", "no record shows the text that a codec should hide", "see which client wrote it uncoded"),
    "ready-lost": Rule("L1", "what has unread messages and is not on hold is marked ready", _WAKE),
    "not-ended": Rule("L1", "everything that can end has ended", "see what it waits for: tenuto trace INSTANCE"),
    "backlog": Rule("L3", "nothing is left to deliver", "see which engine owns the shard, and its log"),
    "ready-void": Rule("L5", "only what may run is marked ready", _LEAVE),
}


class Finding(msgspec.Struct, frozen=True, order=True):
    """One rule broken.

    `subject`: the instance, shard or log line; `record`: what stands wrong in it; `stamp`: where the subject stood:
    a finding is believed only if the same stands there when it is read again.
    """

    rule: str
    shard: int
    subject: str
    record: str
    expected: str
    found: str
    stamp: str = ""

    @property
    def invariant(self) -> str:
        return RULES[self.rule].invariant


class Found:
    """Collects the findings about one subject."""

    def __init__(self, shard: int, subject: str, stamp: str = "") -> None:
        self.shard = shard
        self.subject = subject
        self.stamp = stamp
        self.findings: list[Finding] = []

    def add(self, rule: str, record: str, *, expected: object, found: object) -> None:
        assert rule in RULES, rule
        self.findings.append(Finding(rule, self.shard, self.subject, record, str(expected), str(found), self.stamp))

    def expect(self, rule: str, record: str, *, expected: object, found: object) -> None:
        """Add a finding unless both are equal."""
        if expected != found:
            self.add(rule, record, expected=expected, found=found)
