"""What a Redis server must be before it is used: its identity, its durability, the layout of what it holds.

Checked when the store is opened and on every new connection, because the server behind an address may have been
restarted with other settings, failed over or replaced.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog
from redis.exceptions import NoPermissionError, ResponseError

from tenuto_engine.ports.errors import DurabilityRefused, LayoutTooNew, ShardsDiffer, StoreRefused, StoreUnavailable
from tenuto_engine.storage.redis import scripts
from tenuto_engine.storage.redis.slots import NOT_HERE

LAYOUT_VERSION = 1
# The steps from a layout to the next, by the layout they start from; none has been needed yet.
UPGRADES: dict[int, tuple[tuple[str, ...], ...]] = {}

_SETTINGS = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "min-replicas-to-write")
TIERS = ("D0", "D1", "D2", "D3")

_log = structlog.get_logger(__name__)

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]


class Server(msgspec.Struct, frozen=True):
    """One server as found. `incarnation` changes when it restarts or another one takes its place.

    `replicas`: connected and in step.
    """

    version: str
    incarnation: str
    is_verified: bool
    replicas: int


class Demand(msgspec.Struct, frozen=True):
    """What the engine was told to insist on.

    `may_hide`: go on although the server hides its settings. `is_cluster`: what the URL says. `wait_replicas`: the
    fewest replicas that must be connected.
    """

    shards: int
    durability: str
    may_hide: bool
    is_cluster: bool = False
    wait_replicas: int = 0

    @property
    def replicas(self) -> int:
        """How many replicas must be connected: D3 needs one to write to."""
        return max(self.wait_replicas, 1 if self.durability == "D3" else 0)


async def inspect(ask: Ask, demand: Demand) -> Server:
    """Identify the server and check that it is a primary and delivers the durability asked for.

    Raises:
        DurabilityRefused: it does not, or hides it; the message names the setting.
        StoreRefused: it is a cluster's node, a sentinel or a single server, and the URL says otherwise.
        StoreUnavailable: it is loading, a replica, or refuses to say who it is.
    """
    refuse_unknown_tier(demand.durability)
    questions = [("INFO", "server"), ("INFO", "replication"), ("WAITAOF", 0, 0, 1)]
    replies = await ask([*questions, *(("CONFIG", "GET", name) for name in _SETTINGS)])
    for reply in replies[:2]:
        if isinstance(reply, ResponseError):
            raise StoreUnavailable(f"the server does not say who it is: {reply}") from reply
    facts = _read_info(replies[0]) | _read_info(replies[1])
    _check_mode(facts, demand)
    settings: dict[str, str] | None = None
    if not any(isinstance(reply, ResponseError) for reply in replies[3:]):
        settings = {name: _read_setting(reply) for name, reply in zip(_SETTINGS, replies[3:], strict=True)}
    else:
        _refuse_other_errors(replies[3:])
    if demand.durability == "D3" and isinstance(replies[2], ResponseError):
        raise DurabilityRefused(
            f"durability D3 needs the command WAITAOF (Redis 7.2 or later, Valkey), but the server answers"
            f" '{replies[2]}'; allow it to this user, upgrade the server, or start with --durability D2 or D1"
        )
    is_verified = _check_durability(settings, demand)
    replicas = _count(facts)
    _check_replicas(replicas, settings, demand)
    return Server(
        version=_name_version(facts),
        incarnation=f"{facts.get('run_id', '?')}/{facts.get('master_replid', '?')}",
        is_verified=is_verified,
        replicas=replicas,
    )


async def refuse_replica(ask: Ask) -> None:
    """Check that a server that is only read from is a primary. Raises StoreUnavailable."""
    (reply,) = await ask([("INFO", "replication")])
    if isinstance(reply, ResponseError):
        raise StoreUnavailable(f"the server does not say who it is: {reply}") from reply
    _refuse_replica(_read_info(reply))


def _name_version(facts: dict[str, str]) -> str:
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts.get('redis_version', '?')}"


def _check_mode(facts: dict[str, str], demand: Demand) -> None:
    mode = facts.get("server_mode") or facts.get("redis_mode", "standalone")  # Valkey has the former
    if mode == "sentinel":
        raise StoreRefused("the state store's URL leads to a sentinel; write redis+sentinel://host:port,…/service")
    if (mode == "cluster") != demand.is_cluster:
        found, form = ("a node of a cluster", "redis+cluster://") if mode == "cluster" else ("no cluster", "redis://")
        raise StoreRefused(f"the state store's URL leads to {found}; write {form}host:port")
    # A cluster's replica says by itself where each key is.
    if not demand.is_cluster:
        _refuse_replica(facts)


def _refuse_replica(facts: dict[str, str]) -> None:
    if facts.get("role", "master") != "master":
        primary = f"{facts.get('master_host', '?')}:{facts.get('master_port', '?')}"
        raise StoreUnavailable(
            f"the server is a read-only replica (READONLY) of {primary}; give the primary's address, or that of"
            " sentinels, or wait until it is promoted"
        )


def count_replicas(reply: bytes) -> int:
    """How many replicas are connected and in step, by the answer to INFO replication."""
    return _count(_read_info(reply))


def _count(facts: dict[str, str]) -> int:
    return sum(
        1
        for name, value in facts.items()
        if name.startswith("slave") and name[5:].isdigit() and "state=online" in value
    )


def _check_replicas(replicas: int, settings: dict[str, str] | None, demand: Demand) -> None:
    if replicas < demand.replicas:
        is_asked, is_d3 = replicas < demand.wait_replicas, demand.durability == "D3"
        reason = "wait_replicas" if is_asked else "durability D3"
        ways = ["leave wait_replicas out of the URL"] * is_asked + ["start with --durability D2 or D1"] * is_d3
        raise DurabilityRefused(
            f"{reason} needs {demand.replicas} connected replica(s), but the primary has {replicas}; connect replicas"
            f" (replicaof), or {' and '.join(ways)}"
        )
    if not replicas or settings is None or demand.durability == "D0":
        return
    if settings["min-replicas-to-write"] in ("", "0"):
        warn_once(
            "min-replicas-to-write is 0: a primary cut off from its replicas goes on accepting writes, which are"
            " lost when one of them is promoted; set min-replicas-to-write 1"
        )


_warned: set[str] = set()


def warn_once(text: str) -> None:
    """Log a warning, once per process: settings are looked at on every reconnect."""
    if text not in _warned:
        _warned.add(text)
        _log.warning(text)


async def check_layout(ask: Ask, key: str, demand: Demand) -> None:
    """Write the layout record on first use; compare it ever after; upgrade an older one.

    Raises:
        LayoutTooNew, ShardsDiffer: see there. StoreUnavailable: the record cannot be read or written now.
    """
    (reply,) = await ask([("EVAL", scripts.LAYOUT.source, 1, key, 0, LAYOUT_VERSION, demand.shards)])
    if demand.is_cluster and isinstance(reply, NOT_HERE):
        return  # another node has the record, and is asked on its own connection
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
    if durability not in TIERS:
        raise DurabilityRefused(f"durability {durability!r} is unknown; give D0, D1, D2 or D3")


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
    if demand.durability == "D3" and fsync == "everysec":
        warn_once("appendfsync is everysec: at D3 each answer waits up to a second for it; set appendfsync always")
    if (demand.durability in ("D1", "D3") and fsync == "no") or (demand.durability == "D2" and fsync != "always"):
        wanted = "always" if demand.durability == "D2" else "everysec or always"
        less = "D0" if fsync == "no" else "D1"
        raise DurabilityRefused(
            f"durability {demand.durability} needs appendfsync {wanted}, but it is {fsync}; set it, or start with"
            f" --durability {less}"
        )
    return True


def _read_info(reply: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, _, value in pairs}


def _read_setting(reply: list[bytes]) -> str:
    """`CONFIG GET x` answers [x, value]; a server that does not know the setting answers nothing."""
    return reply[1].decode() if len(reply) == 2 else ""
