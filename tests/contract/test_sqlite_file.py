"""Facts of the SQLite store alone: its file, its lock, its layout, and what it does when the disk does not."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from contract.backends import APP, KEY_PREFIX, SqliteBackend
from contract.dumps import dump
from contract.worlds import FAR_MS, SHARDS, World, message, new_instance
from tenuto_engine.ports.errors import LayoutTooNew, StoreRefused, StoreUnavailable
from tenuto_engine.ports.leases import Lease
from tenuto_engine.ports.operations import Append, Commit, Create
from tenuto_engine.ports.outcomes import Appended, Committed, Created, Rejected, Unconfirmed
from tenuto_engine.ports.records import InstanceFilter
from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore
from tenuto_engine.storage.sqlite.layout import Layout, connect, prepare
from tenuto_engine.storage.sqlite.sql import QUERIES, read_migrations


@pytest.fixture
async def backend(tmp_path: Path) -> SqliteBackend:
    """An empty file."""
    return SqliteBackend(tmp_path)


@pytest.fixture
async def world(backend: SqliteBackend) -> AsyncIterator[World]:
    """An opened store on it."""
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability="D2")
    yield World(backend, store, leases)
    leases.close()
    await store.close()


def _writer(world: World) -> sqlite3.Connection:
    """The store's writing connection, whose limits a test may change."""
    assert isinstance(world.store, SqliteStore)
    writer = world.store._writer
    assert writer is not None
    assert writer._connection is not None, "write once first"
    return writer._connection


# -- the file and its lock ----------------------------------------------------------------------------------------


OPEN_PROGRAM = """
import asyncio, sys
from tenuto_engine.storage.sqlite import SqliteStore
path, app, key_prefix, shards = sys.argv[1:]
asyncio.run(SqliteStore(path, app=app, key_prefix=key_prefix).open(shards=int(shards), durability="D2"))
print("opened")
"""


def _open_elsewhere(path: str) -> subprocess.CompletedProcess[str]:
    """Open the file in another process, which then ends."""
    command = [sys.executable, "-c", OPEN_PROGRAM, path, APP, KEY_PREFIX, str(SHARDS)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_a_second_engine_is_refused_by_name(world: World, backend: SqliteBackend) -> None:
    """While one process has the file open another is told which, and what to do; afterwards it may."""
    refused = _open_elsewhere(backend.path)
    assert f"is open in another engine (process {os.getpid()})" in refused.stderr
    assert "--state-store" in refused.stderr

    await world.store.close()

    assert _open_elsewhere(backend.path).stdout == "opened\n"


async def test_a_store_in_the_same_process_is_refused_too(world: World, backend: SqliteBackend) -> None:
    """The lock is of the open file, not of the process; the refused store leaves the first working."""
    second, _ = backend.make()
    with pytest.raises(StoreRefused, match="open in another engine"):
        await second.open(shards=SHARDS, durability="D2")
    await world.create()


async def test_missing_folders_are_made(tmp_path: Path) -> None:
    """A fresh machine needs no preparation."""
    store = SqliteStore(str(tmp_path / "a" / "b" / "state.db"), app=APP, key_prefix=KEY_PREFIX)
    await store.open(shards=1, durability="D2")
    await store.close()
    assert (tmp_path / "a" / "b" / "state.db").exists()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """The refusal names the file, and leaves it as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to have a header" * 100)
    store = SqliteStore(str(path), app=APP, key_prefix=KEY_PREFIX)
    with pytest.raises(StoreRefused, match=r"notes\.txt is not a SQLite database"):
        await store.open(shards=1, durability="D2")
    assert path.read_text().startswith("not a database")


async def test_a_folder_cannot_be_opened(tmp_path: Path) -> None:
    """What cannot be opened now is unavailable, with the reason."""
    store = SqliteStore(str(tmp_path), app=APP, key_prefix=KEY_PREFIX)
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await store.open(shards=1, durability="D2")


async def test_another_app_is_refused(world: World, backend: SqliteBackend) -> None:
    """A file holds one app's state."""
    await world.store.close()
    other, _ = backend.make(app="other")
    with pytest.raises(StoreRefused, match=r"'shop\.orders'.*'other'"):
        await other.open(shards=SHARDS, durability="D2")
    elsewhere = SqliteStore(backend.path, app=APP, key_prefix="elsewhere")
    with pytest.raises(StoreRefused, match=r"or set --key-prefix \S+$"):
        await elsewhere.open(shards=SHARDS, durability="D2")


async def test_a_closed_store_says_so(backend: SqliteBackend) -> None:
    """Using a store that is not open is an error that names it, not an answer."""
    store, leases = backend.make()
    with pytest.raises(StoreUnavailable, match="is not open"):
        await store.read_instance(0, "order-1")
    with pytest.raises(StoreUnavailable, match="is not open"):
        await store.execute([Create(0, new_instance())])
    with pytest.raises(StoreUnavailable):
        leases.acquire([0], version="", owner="a", lease_ms=5)


@pytest.mark.parametrize(("durability", "synchronous"), [("D0", 0), ("D1", 1), ("D2", 2)])
async def test_the_tier_decides_how_the_log_is_synced(
    backend: SqliteBackend, durability: str, synchronous: int
) -> None:
    """D2 syncs the log in every commit, D1 when it is folded back, D0 never; the log is a write-ahead log."""
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability=durability)
    world = World(backend, store, leases)
    await world.create()
    assert _writer(world).execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert _writer(world).execute("PRAGMA journal_mode").fetchone() == ("wal",)
    leases.close()
    await store.close()


# -- the layout ---------------------------------------------------------------------------------------------------


async def test_a_newer_layout_is_refused(world: World, backend: SqliteBackend) -> None:
    """A file of a later release is not touched."""
    await world.store.close()
    with sqlite3.connect(backend.path) as connection:
        connection.execute("UPDATE layout SET version = 99")
    connection.close()
    store, _ = backend.make()
    with pytest.raises(LayoutTooNew, match=r"layout 99.*newer release"):
        await store.open(shards=SHARDS, durability="D2")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("SELECT version FROM layout").fetchone()
    return int(version)


def test_an_older_layout_is_upgraded_in_one_transaction(tmp_path: Path) -> None:
    """Missing migrations are run in order; one that fails leaves the file as it was."""
    path = str(tmp_path / "state.db")
    wanted = Layout(SHARDS, APP, KEY_PREFIX)
    connection = connect(path, synchronous="FULL")
    first = read_migrations()
    prepare(connection, path, wanted, now_ms=1)
    second = "-- Layout 2.\nCREATE TABLE added (a TEXT);\nINSERT INTO added VALUES ('x;y');\n"
    broken = "CREATE TABLE more (a TEXT);\nINSERT INTO nowhere VALUES (1);\n"

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        prepare(connection, path, wanted, now_ms=2, migrations=[*first, second, broken])
    assert _version(connection) == len(first)
    assert connection.execute("SELECT 1 FROM sqlite_master WHERE name IN ('added', 'more')").fetchall() == []

    prepare(connection, path, wanted, now_ms=3, migrations=[*first, second])
    assert _version(connection) == len(first) + 1
    assert connection.execute("SELECT a FROM added").fetchall() == [("x;y",)]
    prepare(connection, path, wanted, now_ms=4, migrations=[*first, second])
    connection.close()


def test_every_statement_fits_the_schema(tmp_path: Path) -> None:
    """Each named query can be prepared on a fresh file, and none but an audit's reads a whole table."""
    path = str(tmp_path / "state.db")
    connection = connect(path, synchronous="OFF")
    prepare(connection, path, Layout(1, APP, KEY_PREFIX), now_ms=1)
    for name, query in QUERIES.items():
        steps = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {query}", _zeros(query))]
        scanned = [step for step in steps if step.startswith("SCAN") and "json_each" not in step]
        # There are as many members as engines: a handful. And an audit looks for what no index would find.
        may_scan = name in ("read_members", "delete_expired_members", "audit_lost_records", "audit_beyond")
        assert not scanned or may_scan, (name, steps)
    connection.close()


def _zeros(query: str) -> dict[str, int] | tuple[int, ...]:
    """As many zeros as a query takes values: by name, by number or in order."""
    names = re.findall(r":(\w+)", query)
    numbers = [int(number) for number in re.findall(r"\?(\d)", query)]
    return dict.fromkeys(names, 0) if names else (0,) * max(numbers, default=query.count("?"))


# -- faults -------------------------------------------------------------------------------------------------------


async def test_a_full_disk_rejects_and_recovers(world: World) -> None:
    """While there is no room operations are rejected and nothing changes; with room they go on, without a restart."""
    await world.create(messages=[message("start")])
    next_commit = await world.next_commit(consumed=[0], history=[b"h"])
    big = replace(next_commit, history=[b"x" * 100_000] * 20, head=replace(next_commit.head, history_length=20))
    (pages,) = _writer(world).execute("PRAGMA page_count").fetchone()
    before = await dump(world.store, shards=SHARDS)
    _writer(world).execute(f"PRAGMA max_page_count = {pages}")

    outcomes = await world.store.execute([big, Append(0, "order-1", message("one"))])

    assert [type(outcome) for outcome in outcomes] == [Rejected, Rejected]
    assert "full" in str(outcomes[0])
    assert await dump(world.store, shards=SHARDS) == before
    _writer(world).execute("PRAGMA max_page_count = 1000000")
    assert isinstance(await world.do(big), Committed)
    assert await world.append("one") == Appended(1)


FILE_LIMIT_PROGRAM = """
import asyncio, resource, sys
from contract.backends import SqliteBackend
from contract.test_sqlite_file import write_at_the_limit
from pathlib import Path
asyncio.run(write_at_the_limit(SqliteBackend(Path(sys.argv[1]))))
print("recovered")
"""


def _size(path: str) -> int:
    return Path(path).stat().st_size


async def write_at_the_limit(backend: SqliteBackend) -> None:
    """Let the operating system refuse writes in the middle of commits, then let it accept them again."""
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability="D2")
    world = World(backend, store, leases)
    await world.create()
    world.token()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    written = 0
    for room in range(0, 120_000, 8_000):
        before = await dump(store, shards=SHARDS)
        wal_bytes = _size(f"{backend.path}-wal")
        commit: Commit = await world.next_commit(history=[b"x" * 30_000] * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (wal_bytes + room, hard))
        try:
            outcome = await world.do(commit)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        if isinstance(outcome, Rejected):
            assert await dump(store, shards=SHARDS) == before
            outcome = await world.do(commit)
            written += 1
        assert isinstance(outcome, Committed), outcome
    assert written >= 5, written
    leases.close()
    await store.close()


def test_refused_writes_reject_and_recover(tmp_path: Path) -> None:
    """A write error at any point of a commit rejects it whole; the same commit succeeds when writing works again."""
    tests = str(Path(__file__).parents[1])
    child = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT_PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": tests},
    )
    assert child.stdout == "recovered\n", child.stderr


class _LostSync:
    """A connection whose commit happens and then reports a failed fsync, which no file system does on demand."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        cursor = self._connection.execute(statement, *values)
        if statement == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return cursor


async def test_a_commit_that_may_have_happened_is_unconfirmed(world: World) -> None:
    """A fault after the last write leaves the outcome open: said so, and the repetition finds out."""
    await world.create(messages=[message("start")])
    assert isinstance(world.store, SqliteStore)
    assert world.store._writer is not None
    commit = await world.next_commit(consumed=[0], history=[b"h"])
    world.store._writer._connection = _LostSync(_writer(world))  # type: ignore[assignment]

    outcome = await world.do(commit)

    assert isinstance(outcome, Unconfirmed)
    assert "read again" in outcome.error
    assert await world.do(commit) == Committed(inbox_next=1, duplicate=True)


async def test_a_store_may_be_opened_again(world: World) -> None:
    """The same object opens the file again after it was closed, with everything that needs a thread."""
    await world.create()
    await world.store.close()
    await world.store.open(shards=SHARDS, durability="D2")
    assert await world.append("one") == Appended(0)
    assert len(await world.store.list_instances(0, InstanceFilter())) == 1


async def test_what_cannot_be_stored_is_rejected_alone(world: World) -> None:
    """A value that the database cannot hold rejects its own operation, not those of the same group."""
    bad_number = new_instance("bad-1", taken=1 << 70)
    bad_text = new_instance("\ud800")
    outcomes = await world.store.execute(
        [Create(0, new_instance("a")), Create(0, bad_number), Create(0, bad_text), Create(0, new_instance("b"))]
    )
    assert [type(outcome) for outcome in outcomes] == [Created, Rejected, Rejected, Created]
    assert await world.store.read_instance(0, "bad-1") is None
    assert isinstance(await world.do(Create(0, new_instance("c"))), Created)


async def test_an_outside_writer_is_waited_for(world: World, backend: SqliteBackend) -> None:
    """A tool that holds the file for a moment delays a group, without blocking the event loop."""
    await world.create()
    outside = sqlite3.connect(backend.path, isolation_level=None)
    outside.execute("BEGIN IMMEDIATE")

    appended = asyncio.ensure_future(world.append("one"))
    # The loop still serves others while the group waits.
    assert (await world.stored()).inbox_next == 0
    assert not appended.done()
    outside.execute("COMMIT")
    outside.close()

    assert await appended == Appended(0)


async def test_a_cancelled_caller_leaves_no_half_transaction(world: World) -> None:
    """Cancelling a caller in the middle of its commit harms neither the store nor the callers beside it."""
    await world.create()
    for number in range(30):
        cancelled = asyncio.ensure_future(world.append(f"cancelled-{number}"))
        beside = asyncio.ensure_future(world.append(f"beside-{number}"))
        # One turn of the loop lets the first begin its transaction.
        await asyncio.sleep(0)
        cancelled.cancel()
        results = await asyncio.gather(cancelled, beside, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert isinstance(results[1], Appended)
    texts = [text for _, text in await world.inbox()]
    assert [text for text in texts if text.startswith("beside")] == [f"beside-{number}" for number in range(30)]


async def test_load_does_not_starve_leases(world: World) -> None:
    """While groups follow one another without a gap, every renewal gets its turn before the next group."""
    await world.create()
    world.token()
    lease = world.held[0, ""]
    answers: list[list[bool]] = []
    renewals = threading.Thread(
        target=lambda: answers.extend(world.leases.renew([lease], lease_ms=FAR_MS) for _ in range(20))
    )
    renewals.start()
    while renewals.is_alive():
        assert isinstance(await world.append("m"), Appended)
    renewals.join()
    assert answers == [[True]] * 20


async def test_leases_of_a_store_that_went_away_are_unavailable(tmp_path: Path) -> None:
    """A lease store without the layout says so, and works once there is one."""
    leases = SqliteLeaseStore(str(tmp_path / "state.db"))
    with pytest.raises(StoreUnavailable, match="leases"):
        leases.members()
    store = SqliteStore(str(tmp_path / "state.db"), app=APP, key_prefix=KEY_PREFIX)
    await store.open(shards=1, durability="D2")
    (lease,) = leases.acquire([0], version="", owner="a", lease_ms=5)
    assert isinstance(lease, Lease)
    leases.close()
    await store.close()
