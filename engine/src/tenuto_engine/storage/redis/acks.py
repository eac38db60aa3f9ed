"""What an answer waits for beside the primary: WAITAOF for durability D3, WAIT where the URL asks for it.

The commands are the last of a group's write. Servers wait for what the connection has written itself, so a write of a
mark comes before them: then they cover whatever the group saw, such as what was sent before over a connection
that broke. The count is compared before any outcome of the group is given as done. A short count leaves them unknown:
they are in the primary, and may or may not survive it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tenuto_engine.storage.redis.server import Demand, Server, count_replicas


class Ack(msgspec.Struct, frozen=True):
    """Such commands and what they must answer. `local`: fsyncs of the primary.

    Where the primary is asked for one, it is asked last how many replicas are connected by then, and all of them must
    have confirmed: one that came after the connection was made may be promoted as the others may.
    """

    commands: tuple[tuple[str | int, ...], ...]
    local: int
    replicas: int

    def shortage(self, marked: Any, replies: Sequence[Any]) -> str:
        """What is missing in the answers to the mark and to the commands; empty if nothing is."""
        for each in (marked, *replies):
            if isinstance(each, Exception):
                return f"the store cannot confirm it: {each}"
        wanted = self.replicas
        if self.local:
            got_local, got = replies[-2]
            wanted = max(wanted, count_replicas(replies[-1]))
            if got_local < self.local:
                return "the primary did not write it to disk in time"
        else:
            got = replies[-1]
        if got < wanted:
            return f"{got} of {wanted} replicas confirmed it in time"
        return ""


@dataclass
class ReplicaAcks:
    """How many groups were confirmed in full, and how many fell short."""

    ok: int = 0
    short: int = 0


def ack_for(demand: Demand, server: Server, *, wait_ms: int, timeout_s: float) -> Ack | None:
    """The commands that end each group on this server; None where nothing more is waited for.

    D3 waits for every connected replica, because the count cannot say which of them confirmed, and any of them may be
    promoted. It waits nearly as long as for any reply, and leaves time for the answer itself.
    """
    if demand.durability == "D3":
        count, each_ms = server.replicas, max(1, int(timeout_s * 300))
        # Without the first, replicas are asked in the same breath in which they get the write, answer before their
        # fsync, and then not for a second: 1,000 ms instead of 0.5, measured.
        commands = ("WAIT", count, each_ms), ("WAITAOF", 1, count, each_ms), ("INFO", "replication")
        return Ack(commands, 1, count)
    if demand.wait_replicas:
        return Ack((("WAIT", demand.wait_replicas, wait_ms),), 0, demand.wait_replicas)
    return None
