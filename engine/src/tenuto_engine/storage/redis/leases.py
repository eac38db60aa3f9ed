"""Leases and members on Redis, over one connection of their own, so that load on the data path never costs a lease.

Every decision is made by a script with the server's clock. The lease record is never deleted: its epoch only rises.
Source: architecture section 5.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from redis.exceptions import NoScriptError, RedisError

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease, LeaseHeld, Member, Present, Roll
from tenuto_engine.storage.redis import scripts
from tenuto_engine.storage.redis.address import parse_address
from tenuto_engine.storage.redis.clients import open_clients
from tenuto_engine.storage.redis.keys import Keys

_encode = msgspec.json.encode
_decode_member = msgspec.json.Decoder(Member).decode


class RedisLeaseStore:
    """Implements `tenuto_engine.ports.store.LeaseStore`. One thread at a time.

    Args:
        timeout_s: how long one call may wait for the server; seconds. Half a second, because a renewal that waits
            longer is better begun anew, well before a lease of a few seconds runs out.
    """

    def __init__(self, url: str, *, app: str, key_prefix: str, timeout_s: float = 0.5) -> None:
        self._keys = Keys(key_prefix, app)
        self._clients = open_clients(parse_address(url), timeout_s=timeout_s)

    def acquire(
        self, shards: Sequence[int], *, version: str, owner: str, lease_ms: int, force: bool = False
    ) -> list[Lease | LeaseHeld]:
        calls = [
            (self._keys[shard].lease(version), owner, lease_ms, secrets.token_hex(8), int(force)) for shard in shards
        ]
        granted: list[Lease | LeaseHeld] = []
        for shard, reply in zip(shards, self._run(scripts.ACQUIRE, 1, calls), strict=True):
            if reply[0] == 1:
                granted.append(Lease(shard, version, owner, reply[1], reply[4].decode(), reply[5].decode(), reply[6]))
            else:
                granted.append(LeaseHeld(shard, reply[2].decode(), reply[1], reply[3]))
        return granted

    def renew(self, leases: Sequence[Lease], *, lease_ms: int) -> list[bool]:
        calls = [(self._keys[lease.shard].lease(lease.version), lease.token, lease_ms) for lease in leases]
        return [reply == 1 for reply in self._run(scripts.RENEW, 1, calls)]

    def release(self, leases: Sequence[Lease], *, cause: str) -> None:
        calls = [(self._keys[lease.shard].lease(lease.version), lease.token, cause) for lease in leases]
        self._run(scripts.RELEASE, 1, calls)

    def heartbeat(self, member: Member, *, ttl_ms: int) -> Roll:
        (reply,) = self._run(scripts.HEARTBEAT, 2, [self._member_call(member.engine_id, ttl_ms, _encode(member))])
        present = [
            Present(_decode_member(reply[i]), int(reply[i + 1])) for i in range(1, len(cast("list[Any]", reply)), 2)
        ]
        return Roll(reply[0], sorted(present, key=lambda each: each.member.engine_id))

    def leave(self, engine_id: str) -> None:
        keys = self._keys
        self._exchange([("HDEL", keys.members, engine_id), ("ZREM", keys.member_expiry, engine_id)])

    def members(self) -> list[Member]:
        (descriptions,) = self._run(scripts.MEMBERS, 2, [self._member_call()])
        return sorted(map(_decode_member, descriptions), key=lambda member: member.engine_id)

    def close(self) -> None:
        self._clients.close()

    def _run(self, script: scripts.Script, keys: int, calls: Sequence[tuple[str | int | bytes, ...]]) -> list[Any]:
        """Run a script once for each call, in one pipeline. Arguments follow an unused one, the window."""
        if not calls:
            return []
        commands = [("EVALSHA", script.sha, keys, *call[:keys], 0, *call[keys:]) for call in calls]
        return self._exchange(commands, script)

    def _exchange(self, commands: Sequence[tuple[Any, ...]], script: scripts.Script | None = None) -> list[Any]:
        try:
            replies = self._clients.send(commands)
            flushed = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if flushed and script is not None:
                self._clients.send_to_all(("SCRIPT", "LOAD", script.source))
                for i, reply in zip(flushed, self._clients.send([commands[i] for i in flushed]), strict=True):
                    replies[i] = reply
        except (RedisError, OSError) as fault:
            raise StoreUnavailable(f"Redis: {str(fault) or 'no answer in time'}") from fault
        for reply in replies:
            if isinstance(reply, Exception):
                raise StoreUnavailable(f"the lease store refused: {reply}") from reply
        return replies

    def _member_call(self, *arguments: str | int | bytes) -> tuple[str | int | bytes, ...]:
        return (self._keys.members, self._keys.member_expiry, *arguments)
