"""What a Redis URL means: where the servers are, how a connection to one is made, what an answer waits for.

| URL | means |
|---|---|
| `redis://[user:password@]host[:port][/database]`, `rediss://…` | one server; with TLS |
| `unix://[user:password@]/path` | one server on a socket |
| `redis+sentinel://[user:password@]host[:port],…/service[/database]`, `rediss+…` | the primary Sentinel names |
| `redis+cluster://[user:password@]host[:port],…`, `rediss+…` | a cluster, entered by any of these nodes |

Query parameters carry redis-py's names. Those that would let the library repeat a command in secret, or change the
protocol, are not among the accepted ones. A refusal never repeats user, password or query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tenuto_engine.ports.errors import StoreRefused

SCHEMES = (
    "redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
CLIENT_NAME = "tenuto-engine"
_PORT = 6379
_UNREADABLE = (
    "names a host or port that cannot be read; write host:port, IPv6 as [::1]:6379, and escape"
    " '/', '@', ':', '?', '[' and ']' in user and password as %2F, %40, %3A, %3F, %5B and %5D"
)
_SENTINEL_PORT = 26379
# The time an answer waits for `wait_replicas`; one round trip and an fsync take a fraction of it.
_WAIT_MS = 50

Kind = Literal["server", "sentinel", "cluster"]


class Place(NamedTuple):
    """Where one server listens."""

    host: str
    port: int


class Address(msgspec.Struct, frozen=True):
    """A URL that was understood.

    `places`: of the server, the sentinels, or nodes of the cluster; empty where `path` names a socket.
    `login`, `tls`: redis-py's arguments for the servers; `sentinel`: those for the sentinels, TLS included.
    `wait_replicas`: how many replicas must have received a group of writes before it is answered, within `wait_ms`
    milliseconds; 0: none.
    """

    kind: Kind
    places: tuple[Place, ...]
    path: str
    login: Mapping[str, Any]
    is_tls: bool
    tls: Mapping[str, Any]
    service: str
    sentinel: Mapping[str, Any]
    wait_replicas: int
    wait_ms: int

    @property
    def first(self) -> Place:
        """The server itself; for sentinels and clusters a place to begin with. Without meaning for a socket."""
        return self.places[0] if self.places else Place("", 0)

    def arguments(self, place: Place, *, timeout_s: float) -> dict[str, Any]:
        """redis-py's arguments for a client of the server at a place, without the retry, of which there are two kinds.

        `timeout_s`: for making a connection; seconds.
        """
        arguments: dict[str, Any] = {
            **self.login,
            "protocol": 2,
            "client_name": CLIENT_NAME,
            "socket_connect_timeout": timeout_s,
            "driver_info": None,
        }
        if self.path:
            return arguments | {"unix_socket_path": self.path}
        if self.is_tls:
            arguments |= {"ssl": True, **self.tls}
        return arguments | place._asdict()

    def connection(self, place: Place, *, timeout_s: float) -> AbstractConnection:
        """Make a connection of the fitting kind, not connected yet. It retries nothing."""
        common: dict[str, Any] = {
            **self.login,
            "protocol": 2,
            "client_name": CLIENT_NAME,
            # A timeout here would cost a task for each write; each exchange has one of its own.
            "socket_timeout": None,
            "socket_connect_timeout": timeout_s,
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,
        }
        if self.path:
            return UnixDomainSocketConnection(path=self.path, **common)
        where: dict[str, Any] = {"host": place.host, "port": place.port}
        return SSLConnection(**where, **self.tls, **common) if self.is_tls else Connection(**where, **common)


def parse_address(url: str) -> Address:
    """Understand a URL.

    Raises:
        StoreRefused: it is not one of the forms above; the message shows the form and no secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise StoreRefused(f"a Redis URL {_UNREADABLE}") from None  # the cause may tell a part of the password
    if parts.scheme not in SCHEMES:
        raise StoreRefused(f"a Redis URL begins with one of {', '.join(SCHEMES)}, not {parts.scheme!r}")
    kind: Kind = "server"
    if parts.scheme.endswith("+sentinel"):
        kind = "sentinel"
    elif parts.scheme.endswith("+cluster"):
        kind = "cluster"
    is_tls = parts.scheme.startswith("rediss")
    login, tls, sentinel, options = _read_query(parts, is_tls=is_tls)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    login |= {name: unquote(text) for name, text in (("username", user), ("password", password)) if text}
    path, service = "", ""
    places: tuple[Place, ...] = ()
    if parts.scheme == "unix":
        path = unquote(parts.path)
        if hosts or not path:
            raise StoreRefused("a unix:// URL names no socket; write unix:///path/to/redis.sock")
    else:
        places = _read_places(hosts, _SENTINEL_PORT if kind == "sentinel" else _PORT)
        service = _read_path(kind, parts.path.strip("/"), login)
    if len(places) > 1 and kind == "server":
        raise StoreRefused(
            "a redis:// URL names several hosts; write redis+cluster:// for a cluster, or redis+sentinel://"
        )
    if kind == "cluster" and login.get("db"):
        raise StoreRefused("a cluster has database 0 only; leave the database out of the URL")
    return Address(kind, places, path, login, is_tls, tls, service, sentinel, *options)


def _read_places(hosts: str, default_port: int) -> tuple[Place, ...]:
    places: list[Place] = []
    for each in hosts.split(",") if hosts else ["localhost"]:
        host, port = each, ""
        if each.startswith("["):
            host, _, port = each[1:].partition("]")
            port = port.removeprefix(":")
        elif each.count(":") == 1:
            host, _, port = each.partition(":")
        if not host or (port and not (port.isascii() and port.isdecimal() and int(port) < 65_536)):
            # The text may be a part of a password that holds an unescaped '@' or '/'.
            raise StoreRefused(f"a Redis URL {_UNREADABLE}")
        places.append(Place(unquote(host), int(port) if port else default_port))
    return tuple(places)


def _read_path(kind: Kind, path: str, login: dict[str, Any]) -> str:
    """Take the database from the path; answer the service that Sentinel watches."""
    service, database = "", path
    if kind == "sentinel":
        service, _, database = path.partition("/")
        if not service:
            raise StoreRefused(
                "a redis+sentinel:// URL names no service; write redis+sentinel://host:port,host:port/service/database"
            )
    if "@" in database:
        raise StoreRefused(f"a Redis URL {_UNREADABLE}")  # a password that holds an unescaped '/'
    if database:
        login.setdefault("db", _read_count("database", database))
    return unquote(service)


def _read_count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise StoreRefused(f"the {name} in a Redis URL is {text!r}; give a whole number")
    return int(text)


def _read_switch(name: str, text: str) -> bool:
    if text.lower() not in {"0", "1", "true", "false", "yes", "no"}:
        raise StoreRefused(f"{name} in a Redis URL is {text!r}; give 1 or 0")
    return text.lower() in {"1", "true", "yes"}


def _read_text(_name: str, text: str) -> str:
    return text


Reader = Callable[[str, str], Any]
_LOGIN: dict[str, Reader] = {"username": _read_text, "password": _read_text, "db": _read_count}
_TLS: dict[str, Reader] = {
    "ssl_ca_certs": _read_text,
    "ssl_ca_path": _read_text,
    "ssl_certfile": _read_text,
    "ssl_keyfile": _read_text,
    "ssl_password": _read_text,
    "ssl_cert_reqs": _read_text,
    "ssl_check_hostname": _read_switch,
    "ssl_ciphers": _read_text,
}
_SENTINEL: dict[str, Reader] = {
    "sentinel_username": _read_text,
    "sentinel_password": _read_text,
    "sentinel_ssl": _read_switch,
}
_WAIT: dict[str, Reader] = {"wait_replicas": _read_count, "wait_ms": _read_count}
_KNOWN = _LOGIN | _TLS | _SENTINEL | _WAIT


def _read_query(
    parts: SplitResult, *, is_tls: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], tuple[int, int]]:
    """Answer what the query says for servers, for TLS, for sentinels, and what an answer waits for."""
    given: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _KNOWN:
            raise StoreRefused(f"a Redis URL has the unknown parameter {name!r}; known are {', '.join(_KNOWN)}")
        given[name] = _KNOWN[name](name, text)
    tls = {name: given[name] for name in _TLS if name in given}
    if tls and not is_tls:
        raise StoreRefused(f"{', '.join(tls)} in a Redis URL needs TLS; write rediss:// instead of redis://")
    if given.get("wait_ms") == 0:
        raise StoreRefused("wait_ms in a Redis URL is 0, which would wait without end; give at least 1")
    login = {name: given[name] for name in _LOGIN if name in given}
    sentinel = {
        name.removeprefix("sentinel_"): given[name]
        for name in ("sentinel_username", "sentinel_password")
        if name in given
    }
    if given.get("sentinel_ssl", is_tls):
        sentinel |= {"ssl": True, **tls}
    return login, tls, sentinel, (given.get("wait_replicas", 0), given.get("wait_ms", _WAIT_MS))
