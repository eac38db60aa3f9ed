"""The engine's settings: frozen, read once from arguments and environment, checked when built.

Each option of `tenuto-engine` is also an environment variable: `--state-store` is `TENUTO_STATE_STORE`. An argument
wins.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tenuto_engine import __version__
from tenuto_engine.core.limits import Limits
from tenuto_engine.runtime.context import RuntimeSettings

_NAME = re.compile(r"[a-z0-9.-]{1,120}")
_VERSION = re.compile(r"[A-Za-z0-9._+-]{0,63}")
_REDIS = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_DURABILITY = {"memory": "D0"} | dict.fromkeys(_REDIS, "D1")
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
MAX_SHARDS = 4096
_LAST_PORT = 65_535


class SettingsRefused(ValueError):
    """A setting is missing, malformed or contradicts another; the message names it and says what to give."""


class Settings(msgspec.Struct, frozen=True):
    """Everything an engine process is told.

    `listen`: HOST:PORT or unix:PATH of the app API, where Dapr's SDKs are served too; `listen_durabletask`: the same
    for Microsoft's Durable Task SDKs, whose messages differ; empty: they are not served. `http`: HOST:PORT of health,
    metrics and drain; port 0 takes a free one; `dapr_http`: the same for Dapr's workflow API over HTTP; empty: off.
    `durability`: D0 to D3; the default is what the store delivers by itself (memory D0, Redis D1, others D2).
    `lease_store`: a Redis that keeps the leases of a state store in PostgreSQL; empty: they are kept beside the state.
    `token_file`: file with the token that clients must send; empty: none is asked for.
    """

    state_store: str
    runtime: RuntimeSettings
    limits: Limits
    lease_store: str = ""
    key_prefix: str = "tenuto"
    durability: str = "D2"
    durability_unverified: bool = False
    listen: str = "127.0.0.1:50001"
    http: str = "127.0.0.1:7071"
    listen_durabletask: str = ""
    dapr_http: str = ""
    token_file: str = ""
    log_format: str = "text"
    log_level: str = "info"


def parser() -> argparse.ArgumentParser:
    """The command line, with every default told."""
    made = argparse.ArgumentParser(
        prog="tenuto-engine",
        description=(
            "The Tenuto sidecar engine. Every option is also an environment variable: "
            "--state-store is TENUTO_STATE_STORE."
        ),
    )
    option = made.add_argument
    option("--app", help="name of the application; its engines share the instances under it (default: default)")
    option("--version", help="version of the application's code that this engine serves (default: none, unversioned)")
    option(
        "--state-store",
        metavar="URL",
        help=(
            "memory:, sqlite:///path, postgresql://host:port/db, redis://host:port/db, rediss://, unix:///socket,"
            " redis+sentinel://host,host/service, redis+cluster://host,host (default: sqlite:///tenuto.db)"
        ),
    )
    option("--lease-store", metavar="URL", help="redis://host:port/db for the leases of a PostgreSQL state store")
    option("--key-prefix", help="prefix of all keys in the store (default: tenuto)")
    option("--durability", help="D0, D1, D2 or D3: what an acknowledged command survives (default: by store)")
    option("--durability-unverified", action="store_const", const="1", help="go on where the store hides its settings")
    option("--listen", metavar="ADDRESS", help="HOST:PORT or unix:PATH of the app API (default: 127.0.0.1:50001)")
    option(
        "--listen-durabletask",
        metavar="ADDRESS",
        help="HOST:PORT or unix:PATH for Microsoft's Durable Task SDKs, by custom port 4001 (default: off)",
    )
    option(
        "--dapr-http",
        metavar="HOST:PORT",
        help="Dapr's workflow API over HTTP, by custom 127.0.0.1:3500 (default: off)",
    )
    option("--http", metavar="HOST:PORT", help="health, metrics and drain (default: 127.0.0.1:7071)")
    option("--token-file", metavar="FILE", help="bearer token that clients must send (default: none)")
    option("--shards", help="number of shards, fixed at first use of the store (default: 64)")
    option("--lease-seconds", help="how long a shard stays owned without renewal (default: 10)")
    option("--capacity", help="this engine's weight among the others when shards are dealt out (default: 1)")
    option("--drain-seconds", help="how long running work may take to end when draining (default: 25)")
    option("--retain-completed", metavar="SECONDS", help="keep completed instances this long (default: 604800, 7 days)")
    option(
        "--retain-failed",
        metavar="SECONDS",
        help="keep failed and terminated instances this long (default: 2592000, 30 days)",
    )
    option("--max-payload-bytes", help="limit of one input, result or event (default: 2097152)")
    option("--max-history-events", help="limit of one execution's history (default: 50000)")
    option("--turn-timeout", metavar="SECONDS", help="a turn without answer counts as failed (default: 60)")
    option("--max-deliveries", help="hand-outs of one activity without an answer, after which it fails (default: 20)")
    option("--log-format", choices=LOG_FORMATS, help="default: text")
    option("--log-level", choices=LOG_LEVELS, help="default: info")
    option("--release", action="version", version=__version__, help="print this program's release and exit")
    return made


def from_arguments(arguments: Sequence[str], env: Mapping[str, str]) -> Settings:
    """Read settings. Raises SettingsRefused; exits for --help and malformed arguments as argparse does."""
    given = {k: v for k, v in vars(parser().parse_args(arguments)).items() if v is not None}
    known = {a.dest for a in parser()._actions}
    for name in known:
        variable = f"TENUTO_{name.upper()}"
        if name not in given and env.get(variable):
            given[name] = env[variable]
    return build(given)


def build(given: Mapping[str, str]) -> Settings:
    """Build settings from text values by option name. Raises SettingsRefused."""
    runtime = RuntimeSettings(
        app=_matching(given, "app", "default", _NAME),
        version=_matching(given, "version", "", _VERSION),
        shards=_integer(given, "shards", 64, low=1, high=MAX_SHARDS),
        lease_seconds=_number(given, "lease_seconds", 10.0, low=0.5),
        capacity=_integer(given, "capacity", 1, low=1, high=1_000),
        drain_seconds=_number(given, "drain_seconds", 25.0, low=0.0),
        retain_completed_seconds=_number(given, "retain_completed", 7 * 86_400.0, low=0.0),
        retain_failed_seconds=_number(given, "retain_failed", 30 * 86_400.0, low=0.0),
        max_deliveries=_integer(given, "max_deliveries", 20, low=1, high=10_000),
        turn_timeout_seconds=_number(given, "turn_timeout", 60.0, low=0.1),
    )
    limits = Limits(
        payload_bytes=_integer(given, "max_payload_bytes", 2 << 20, low=1024, high=32 << 20),
        history_events=_integer(given, "max_history_events", 50_000, low=100, high=1_000_000),
    )
    store = given.get("state_store", "sqlite:///tenuto.db")
    durability = given.get("durability", _DURABILITY.get(store.partition(":")[0], "D2")).upper()
    if durability not in {"D0", "D1", "D2", "D3"}:
        raise SettingsRefused(f"--durability is '{durability}'; give D0, D1, D2 or D3")
    return Settings(
        state_store=store,
        runtime=runtime,
        limits=limits,
        lease_store=given.get("lease_store", ""),
        key_prefix=_matching(given, "key_prefix", "tenuto", _NAME),
        durability=durability,
        durability_unverified=given.get("durability_unverified", "") in {"1", "true", "yes"},
        listen=_address(given, "listen", "127.0.0.1:50001"),
        listen_durabletask=_address(given, "listen_durabletask", "") if given.get("listen_durabletask") else "",
        dapr_http=_address(given, "dapr_http", "") if given.get("dapr_http") else "",
        http=_address(given, "http", "127.0.0.1:7071"),
        token_file=_token_file(given),
        log_format=_one_of(given, "log_format", "text", LOG_FORMATS),
        log_level=_one_of(given, "log_level", "info", LOG_LEVELS),
    )


def _token_file(given: Mapping[str, str]) -> str:
    """An empty file would let everybody in, which is not what was asked for."""
    path = given.get("token_file", "")
    if not path:
        return ""
    try:
        token = Path(path).read_bytes().strip()
    except OSError as error:
        raise SettingsRefused(f"--token-file '{path}' cannot be read: {error.strerror}") from error
    if not token:
        raise SettingsRefused(f"--token-file '{path}' is empty; put the token into it, or leave the option out")
    return path


def _address(given: Mapping[str, str], name: str, default: str) -> str:
    value = given.get(name, default)
    if name.startswith("listen") and value.startswith("unix:") and len(value) > len("unix:"):
        return value
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal():
        forms = "HOST:PORT or unix:PATH" if name.startswith("listen") else "HOST:PORT"
        raise SettingsRefused(f"{_option(name)} is '{value}'; give {forms}, with port 0 to take a free one")
    if len(port) > 5 or int(port) > _LAST_PORT:
        raise SettingsRefused(f"{_option(name)} is '{value}', but ports end at {_LAST_PORT}; give 0 to take a free one")
    return value


def _one_of(given: Mapping[str, str], name: str, default: str, known: Sequence[str]) -> str:
    value = given.get(name, default)
    if value not in known:
        raise SettingsRefused(f"{_option(name)} is '{value}'; give one of {', '.join(known)}")
    return value


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _matching(given: Mapping[str, str], name: str, default: str, pattern: re.Pattern[str]) -> str:
    value = given.get(name, default)
    if not pattern.fullmatch(value):
        raise SettingsRefused(f"{_option(name)} is '{value}'; it must match {pattern.pattern}")
    return value


def _number(given: Mapping[str, str], name: str, default: float, *, low: float) -> float:
    text = given.get(name)
    try:
        value = default if text is None else float(text)
    except ValueError as error:
        raise SettingsRefused(f"{_option(name)} is '{text}'; give a number of seconds") from error
    if not low <= value < 1e12:
        raise SettingsRefused(f"{_option(name)} is {value:g}; give at least {low:g}")
    return value


def _integer(given: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    text = given.get(name)
    try:
        value = default if text is None else int(text)
    except ValueError as error:
        raise SettingsRefused(f"{_option(name)} is '{text}'; give a whole number") from error
    if not low <= value <= high:
        raise SettingsRefused(f"{_option(name)} is {value}; give {low} to {high:,}")
    return value
