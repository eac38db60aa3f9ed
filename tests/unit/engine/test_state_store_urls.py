"""State-store URLs: which driver they mean, and what is said of those that mean none."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tenuto_engine.ports.errors import StoreRefused
from tenuto_engine.storage.gated_leases import GatedLeaseStore
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryStore
from tenuto_engine.storage.postgres import PostgresLeaseStore, PostgresNotifier, PostgresStore
from tenuto_engine.storage.redis import RedisLeaseStore, RedisNotifier, RedisStore
from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore
from tenuto_engine.storage.urls import default_durability, open_audit, open_stores


@pytest.mark.parametrize(
    ("url", "store", "leases", "durability"),
    [
        ("memory:", MemoryStore, MemoryLeaseStore, "D0"),
        ("sqlite:///relative/state.db", SqliteStore, SqliteLeaseStore, "D2"),
        ("sqlite:////absolute/state.db", SqliteStore, SqliteLeaseStore, "D2"),
        ("postgresql://me:secret@localhost/state?sslmode=require", PostgresStore, PostgresLeaseStore, "D2"),
        ("redis://localhost:6379/0", RedisStore, RedisLeaseStore, "D1"),
    ],
)
def test_each_kind_has_its_driver_and_its_default_tier(url: str, store: type, leases: type, durability: str) -> None:
    """The pair of stores and the tier follow from the URL alone, and nothing is connected yet."""
    made = open_stores(url, app="shop", key_prefix="tenuto")
    assert (type(made[0]), type(made[1])) == (store, leases)
    assert default_durability(url) == durability
    made[1].close()


async def test_a_path_may_hold_spaces_and_marks(tmp_path: Path) -> None:
    """Three slashes begin a relative path, four an absolute one; escapes are those of URLs."""
    folder = tmp_path / "my state"
    store, *_ = open_stores(f"sqlite:///{folder}/50%25.db".replace(" ", "%20"), app="shop", key_prefix="tenuto")
    await store.open(shards=1, durability="D2")
    await store.close()
    assert (folder / "50%.db").exists()


@pytest.mark.parametrize(
    "url", ["", "mysql://host/db", "state.db", "sqlite://state.db", "sqlite://host/state.db", "sqlite:///"]
)
def test_other_urls_are_refused_with_the_right_form(url: str) -> None:
    """The refusal shows how a URL is written."""
    with pytest.raises(StoreRefused, match="sqlite:///"):
        open_stores(url, app="shop", key_prefix="tenuto")


def test_what_is_no_url_is_called_so() -> None:
    """A word without a scheme is not called an unknown kind, and a checker is not sent to a store in memory."""
    with pytest.raises(StoreRefused, match="'foo' is no URL: it must begin with a scheme; write memory:, sqlite:///"):
        open_stores("foo", app="shop", key_prefix="tenuto")
    with pytest.raises(StoreRefused, match="unknown kind 'mysql'; write sqlite:///"):
        open_audit("mysql://x", app="shop", key_prefix="tenuto")


@pytest.mark.parametrize(
    "url",
    [
        "mongo://user:secret@host/db",
        "mongo://host/db?user=me@here&password=secret",
        "postgresql://user:sec%ret@host/db",
        "postgresql://user:[secret]@host/db",
        "postgresql://host/db?password=secret&what=1",
        "postgresql://host/db?user=me@here&password=secret&what=1",
        "redis://:[secret]@host/0",
        "redis://user:12/secret@host/0",
    ],
)
def test_a_refusal_shows_no_password(url: str) -> None:
    """Whatever is wrong with a URL: neither the sentence nor its cause repeats what may be a password."""
    with pytest.raises(StoreRefused) as refusal:
        open_stores(url, app="shop", key_prefix="tenuto")
    shown = f"{refusal.value} {refusal.value.__cause__}"
    assert "sec" not in shown


def test_leases_in_redis_go_with_state_in_postgres_alone() -> None:
    """Members and nudges follow the leases; other stores keep their own leases."""
    url, make = "postgresql://localhost/state", partial(open_stores, app="shop", key_prefix="tenuto")
    assert isinstance(make(url).notifier, PostgresNotifier)
    made = make(url, lease_store="redis://localhost")
    assert isinstance(made.leases, GatedLeaseStore)
    assert isinstance(made.notifier, RedisNotifier)
    made.leases.close()
    with pytest.raises(StoreRefused, match="--lease-store"):
        make("redis://localhost", lease_store="redis://localhost")
    with pytest.raises(StoreRefused, match="no URL of Redis"):
        make(url, lease_store="postgresql://me:secret@localhost/leases")
