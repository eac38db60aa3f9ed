"""What a Redis server must be before it is used: its identity, its durability, the layout of what it holds.

Checked when the store is opened and on every new connection, because the server behind an address may have been
restarted with other settings, failed over or replaced.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from redis.exceptions import NoPermissionError, ResponseError

from tenuto_engine.ports.errors import DurabilityRefused, LayoutTooNew, ShardsDiffer, StoreRefused, StoreUnavailable
from tenuto_engine.storage.redis import scripts

LAYOUT_VERSION = 1
# The steps from a layout to the next, by the layout they start from; none has been needed yet.
UPGRADES: dict[int, tuple[tuple[str, ...], ...]] = {}

_SETTINGS = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]


class Server(msgspec.Struct, frozen=True):
    """One server as found. `incarnation` changes when it restarts or another one takes its place."""

    version: str
    incarnation: str
    is_verified: bool


class Demand(msgspec.Struct, frozen=True):
    """What the engine was told to insist on. `may_hide`: go on although the server hides its settings."""

    shards: int
    durability: str
    may_hide: bool


async def inspect(ask: Ask, demand: Demand) -> Server:
    """Identify the server and check that it delivers the durability asked for.

    Raises:
        DurabilityRefused: it does not, or hides it; the message names the setting.
        StoreUnavailable: it is loading, or refuses to say who it is.
    """
    refuse_unknown_tier(demand.durability)
    replies = await ask([("INFO", "server"), ("INFO", "replication"), *(("CONFIG", "GET", name) for name in _SETTINGS)])
    for reply in replies[:2]:
        if isinstance(reply, ResponseError):
            raise StoreUnavailable(f"the server does not say who it is: {reply}") from reply
    facts = _read_info(replies[0]) | _read_info(replies[1])
    settings: dict[str, str] | None = None
    if not any(isinstance(reply, ResponseError) for reply in replies[2:]):
        settings = {name: _read_setting(reply) for name, reply in zip(_SETTINGS, replies[2:], strict=True)}
    else:
        _refuse_other_errors(replies[2:])
    is_verified = _check_durability(settings, demand)
    return Server(
        version=facts.get("valkey_version") or facts.get("redis_version", "?"),
        incarnation=f"{facts.get('run_id', '?')}/{facts.get('master_replid', '?')}",
        is_verified=is_verified,
    )


async def check_layout(ask: Ask, key: str, demand: Demand) -> None:
    """Write the layout record on first use; compare it ever after; upgrade an older one.

    Raises:
        LayoutTooNew, ShardsDiffer: see there. StoreUnavailable: the record cannot be read or written now.
    """
    (reply,) = await ask([("EVAL", scripts.LAYOUT.source, 1, key, 0, LAYOUT_VERSION, demand.shards)])
    if isinstance(reply, ResponseError):
        raise StoreUnavailable(f"the layout record {key} cannot be read: {reply}") from reply
    try:
        version, shards = (int(part) for part in reply)
    except (TypeError, ValueError) as error:
        raise StoreRefused(f"the layout record {key} is not one of ours: {reply!r}; use another key prefix") from error
    if version > LAYOUT_VERSION:
        raise LayoutTooNew(
            f"{key} has layout {version}, written by a newer release; this one knows layouts up to {LAYOUT_VERSION}."
            " Upgrade this engine"
        )
    if shards != demand.shards:
        raise ShardsDiffer(f"{key} was made with {shards} shards, not {demand.shards}; start with --shards {shards}")
    for step in range(version, LAYOUT_VERSION):
        commands = [*UPGRADES.get(step, ()), ("HSET", key, "version", str(step + 1))]
        for answer in await ask([*commands]):
            if isinstance(answer, ResponseError):
                raise StoreUnavailable(f"layout {step} of {key} cannot be upgraded now: {answer}") from answer


def refuse_unknown_tier(durability: str) -> None:
    if durability == "D3":
        raise DurabilityRefused(
            "durability D3 (fsync on every replica that may be promoted) is not delivered on Redis by this release;"
            " it follows. Use D2 (appendfsync always) or D1"
        )
    if durability not in {"D0", "D1", "D2"}:
        raise DurabilityRefused(f"durability {durability!r} is unknown; give D0, D1 or D2")


def _refuse_other_errors(replies: list[Any]) -> None:
    """A server that hides CONFIG says so (no permission, unknown command); all else is a fault of the moment."""
    for reply in replies:
        if not isinstance(reply, ResponseError):
            continue
        text = str(reply).lower()
        if not (isinstance(reply, NoPermissionError) or "unknown command" in text or "not allowed" in text):
            raise StoreUnavailable(f"the server's settings cannot be read now: {reply}") from reply


def _check_durability(settings: dict[str, str] | None, demand: Demand) -> bool:
    if settings is None:
        if demand.may_hide:
            return False
        raise DurabilityRefused(
            f"the server hides its settings (CONFIG GET is refused), so durability {demand.durability} cannot be"
            " checked; allow CONFIG GET to this user, or start with --durability-unverified"
        )
    policy = settings["maxmemory-policy"]
    if settings["maxmemory"] != "0" and policy != "noeviction":
        raise DurabilityRefused(
            f"maxmemory-policy is {policy}: a full server would throw workflows away; set maxmemory-policy noeviction"
        )
    if demand.durability != "D0" and settings["appendonly"] != "yes":
        raise DurabilityRefused(
            f"durability {demand.durability} needs the append-only file, but appendonly is {settings['appendonly']};"
            " set appendonly yes, or start with --durability D0"
        )
    fsync = settings["appendfsync"]
    if (demand.durability == "D1" and fsync == "no") or (demand.durability == "D2" and fsync != "always"):
        wanted = "always" if demand.durability == "D2" else "everysec or always"
        raise DurabilityRefused(f"durability {demand.durability} needs appendfsync {wanted}, but it is {fsync}; set it")
    return True


def _read_info(reply: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, _, value in pairs}


def _read_setting(reply: list[bytes]) -> str:
    """`CONFIG GET x` answers [x, value]; a server that does not know the setting answers nothing."""
    return reply[1].decode() if len(reply) == 2 else ""
