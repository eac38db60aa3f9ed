"""Redis URLs: what each form means, and that a refusal shows the form and no secret."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AskError, MovedError

from tenuto_engine.ports.errors import StoreRefused
from tenuto_engine.storage.redis.address import Place, parse_address
from tenuto_engine.storage.redis.slots import SlotMap, place_named, slot_of_command, slot_of_key

A, B = Place("a", 1), Place("b", 2)


@pytest.mark.parametrize(
    ("url", "kind", "places", "login"),
    [
        ("redis://", "server", (Place("localhost", 6379),), {}),
        ("redis://h", "server", (Place("h", 6379),), {}),
        ("redis://u:p%40%2F@h:7/3", "server", (Place("h", 7),), {"username": "u", "password": "p@/", "db": 3}),
        ("redis://:p@[::1]:7", "server", (Place("::1", 7),), {"password": "p"}),
        ("redis://h?db=2&password=p", "server", (Place("h", 6379),), {"db": 2, "password": "p"}),
        ("redis+sentinel://a:1,b:2/shop", "sentinel", (A, B), {}),
        ("redis+sentinel://:p@a:1,b/shop/4", "sentinel", (A, Place("b", 26379)), {"password": "p", "db": 4}),
        ("redis+cluster://u:p@a:1,b:2", "cluster", (A, B), {"username": "u", "password": "p"}),
        ("rediss+cluster://a:1", "cluster", (A,), {}),
    ],
)  # fmt: skip
def test_each_form_has_its_meaning(url: str, kind: str, places: tuple[Place, ...], login: dict[str, object]) -> None:
    """Hosts, ports, login and database, with the defaults of servers and of sentinels."""
    address = parse_address(url)
    assert (address.kind, address.places, address.login) == (kind, places, login)
    assert address.is_tls == url.startswith("rediss")
    assert address.service == ("shop" if kind == "sentinel" else "")


def test_connections_are_of_the_fitting_kind_and_repeat_nothing() -> None:
    """Protocol and name are fixed, and no error is retried in secret."""
    for url, kind in (
        ("redis://h", Connection),
        ("rediss://h?ssl_check_hostname=0", SSLConnection),
        ("unix:///run/redis.sock", UnixDomainSocketConnection),
    ):
        address = parse_address(url)
        connection = address.connection(address.first, timeout_s=1.0)
        assert type(connection) is kind
        assert connection.retry.get_retries() == 0
        assert connection.client_name == "tenuto-engine"
        assert connection.protocol == 2


def test_sentinels_have_a_login_and_tls_of_their_own() -> None:
    """The servers' password is not shown to sentinels; TLS is, unless the URL says otherwise."""
    url = "rediss+sentinel://u:p@a:1/shop?sentinel_username=s&sentinel_password=q&ssl_ca_certs=/ca.pem"
    assert parse_address(url).sentinel == {"username": "s", "password": "q", "ssl": True, "ssl_ca_certs": "/ca.pem"}
    assert parse_address(f"{url}&sentinel_ssl=0").sentinel == {"username": "s", "password": "q"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://u:sec/ret@h", "escape"),
        ("redis://u:sec@ret@h:port", "escape"),
        ("redis://u:secret@h:99999", "escape"),
        ("redis://u:secret@a,b", r"redis\+cluster://"),
        ("redis://u:secret@h/one", "database"),
        ("redis://u:secret@h?retry_on_timeout=1", "retry_on_timeout"),
        ("redis://u:secret@h?ssl_ca_certs=/secret", "rediss://"),
        ("redis+sentinel://u:secret@a,b", "service"),
        ("redis+cluster://u:secret@a/1", "database 0"),
        ("unix://u:secret@", "unix:///"),
        ("redis://u:secret@h?wait_replicas=many", "wait_replicas"),
        ("redis://u:secret@h?wait_replicas=1&wait_ms=0", "wait_ms"),
        ("rediss://u:secret@h?ssl_check_hostname=maybe", "ssl_check_hostname"),
        ("http://u:secret@h", "redis"),
    ],
)
def test_a_refusal_shows_the_form_and_no_secret(url: str, said: str) -> None:
    """Also where a password was not escaped, and its parts look like host or port."""
    with pytest.raises(StoreRefused, match=said) as refusal:
        parse_address(url)
    assert "sec" not in str(refusal.value)
    assert "ret@" not in str(refusal.value)


def test_commands_go_where_their_first_key_is() -> None:
    """Scripts name keys behind their number; a hash tag decides for all keys that have it."""
    slot = slot_of_key("tenuto:{shop/1}:")
    assert slot_of_command(("HGET", "tenuto:{shop/1}:instance:a", "x")) == slot
    assert slot_of_command(("EVALSHA", "sha", 2, "tenuto:{shop/1}:lease:", "k2", 0)) == slot
    assert slot_of_command(("TIME",)) is None


def test_the_slot_map_follows_what_nodes_say() -> None:
    """Ranges of CLUSTER SLOTS; a slot that moved; a node that does not know its own address."""
    slots = SlotMap()
    assert slots.owner(5) is None
    slots.learn([[0, 99, [b"a", 1, b"id"], [b"replica", 9, b"id"]], [100, 16383, [b"", 2, b"id"]]], Place("b", 7))
    assert (slots.owner(5), slots.owner(100), slots.owners()) == (A, B, [A, B])
    slots.note_moved(MovedError("5 b:2"), A)
    assert (slots.owner(5), slots.owner(6)) == (B, A)
    assert place_named(AskError("5 :3"), A) == Place("a", 3)
    slots.learn([[0, 16383, [None, 1, b"id"]]], Place("a", 7))
    assert (slots.owner(5), slots.owners()) == (A, [A])
