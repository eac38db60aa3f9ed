"""A stale owner loses every interleaving: its commit is wholly before the takeover, or refused.

Two real sessions, one with the steps of a group and one with those of a takeover, are driven through every order of
their steps. A step that has to wait for the other session's locks is seen to wait, and goes on when the lock is free.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import combinations

import psycopg
import pytest

from contract.backends import APP, PostgresBackend
from contract.dumps import dump
from contract.worlds import FAR_MS, SHARDS, World, message, open_call, timer
from servers import PostgresServer
from tenuto_engine.ports.operations import Append, Commit, FireReminder, Operation, ReplaceActivity
from tenuto_engine.ports.outcomes import Appended, Committed, Fenced, Refused
from tenuto_engine.ports.records import OutboxSend, ReminderSet
from tenuto_engine.storage.postgres import PostgresStore
from tenuto_engine.storage.postgres.answers import read_outcome
from tenuto_engine.storage.postgres.exchange import ask
from tenuto_engine.storage.postgres.leases import _drive
from tenuto_engine.storage.postgres.session import settings_of, target_of

SECONDS = 20.0
Step = Callable[[psycopg.Connection], object]


@pytest.fixture
async def world(postgres_server: PostgresServer) -> AsyncIterator[World]:
    """An opened store with an instance, whose shard is owned."""
    backend = PostgresBackend(postgres_server.url)
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability=backend.durability)
    made = World(backend, store, leases)
    await made.create()
    yield made
    leases.close()
    await store.close()


class Session:
    """One connection, whose steps run in a thread, so that one of them may wait for a lock."""

    def __init__(self, name: str, world: World, server: PostgresServer, steps: Sequence[tuple[str, Step]]) -> None:
        assert isinstance(world.backend, PostgresBackend)
        self.name = name
        self.waiting: tuple[str, Future[object]] | None = None
        self.answers: dict[str, object] = {}
        self._left = list(steps)
        self._thread = ThreadPoolExecutor(1)
        self._server = server
        target = target_of(server.url, app=APP, key_prefix=world.backend.key_prefix, lease_ms=10_000)
        self._connection = server.client()
        for setting, value in (settings_of(target) | {"lock_timeout": "0", "statement_timeout": "0"}).items():
            self._connection.execute("SELECT set_config(%s, %s, false)", [setting, value])
        self._connection.execute("BEGIN")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._thread.shutdown()
        self._connection.close()

    def start_next(self) -> None:
        """Begin the next step."""
        name, step = self._left.pop(0)
        self.waiting = (name, self._thread.submit(step, self._connection))

    @property
    def may_start(self) -> bool:
        return self.waiting is None and bool(self._left)

    def settle(self, log: list[str]) -> bool:
        """Return whether the step has ended; else it is seen to wait for a lock of the other session."""
        assert self.waiting is not None
        name, future = self.waiting
        with self._server.client() as looker:
            while not future.done():
                query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
                row = looker.execute(query, [self._connection.info.backend_pid]).fetchone()
                if row == (True,) and not future.done():
                    return False
        self.answers[name] = future.result()
        log.append(f"{self.name} {name}")
        self.waiting = None
        return True


async def state_of(world: World) -> object:
    """All that is stored but the lease itself."""
    dumped = await dump(world.store, shards=SHARDS)
    for shown in dumped.values():
        for version in shown["shard"]["versions"].values():
            del version["lease"]
    return dumped


def _drive_all(order: Sequence[Session]) -> list[str]:
    """Run the sessions' steps in this order, as far as locks allow; return in which order they ended."""
    log: list[str] = []
    pending = list(order)
    while pending or any(session.waiting for session in order):
        for session in dict.fromkeys(order):
            if session.waiting is not None:
                session.settle(log)
        following = next((each for each in pending if each.may_start), None)
        if following is not None:
            pending.remove(following)
            following.start_next()
            following.settle(log)
    return log


def _lock(operation: Commit) -> Step:
    """The first half of a group by itself: its locks and its comparison of the token."""

    def step(connection: psycopg.Connection) -> object:
        return connection.execute(
            "SELECT lock_group(%s::bigint[], %s::text[], %s::text[], '{}', '{}', '{}', %s::bigint[], %s::text[])",
            [[0], [""], [operation.token], [0, 0], [operation.instance_id, "another"]],
        ).fetchone()

    return step


def _execute(store: PostgresStore, *operations: Operation) -> Step:
    """The whole group, as the store sends it; answers what its last operation is told."""
    assert store._packer is not None
    params = store._packer.group(operations, window_ms=FAR_MS)

    def step(connection: psycopg.Connection) -> object:
        rows = _drive(connection.pgconn.socket, ask(connection.pgconn, set(), "execute_group", params), SECONDS)
        return read_outcome(rows[-1][0])

    return step


def _end(how: str) -> Step:
    return lambda connection: connection.execute(how.encode())


def _acquire(connection: psycopg.Connection) -> object:
    query = "SELECT its_token FROM acquire('{0}', '', 'thief', 60000, '{nonce}', true)"
    return connection.execute(query).fetchone()


def _release(token: str) -> Step:
    return lambda connection: connection.execute("SELECT release('{0}', '{\"\"}', %s::text[], 'drain')", [[token]])


def _orders(first: int, second: int) -> Iterator[list[int]]:
    """Every way to merge two sequences of steps: which of the two goes, each time."""
    for places in combinations(range(first + second), second):
        yield [int(place in places) for place in range(first + second)]


ORDERS = [(split, order) for split in (False, True) for order in _orders(3 if split else 2, 2)]


@pytest.mark.parametrize("takeover", ["acquire", "release"])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize(("split", "order"), ORDERS)
async def test_a_stale_commit_is_before_the_takeover_or_refused(
    world: World, postgres_server: PostgresServer, *, takeover: str, end: str, split: bool, order: list[int]
) -> None:
    """In every order of steps: never is anything of the former owner committed after the new token was given."""
    assert isinstance(world.store, PostgresStore)
    stale = await world.next_commit(
        history=[b"stale"],
        custom_status=b"stale",
        activities_set=[open_call(1)],
        reminders_set=[ReminderSet(timer(2), FAR_MS)],
        outbox=[OutboxSend(1, b"stale")],
    )
    before = await state_of(world)
    steps = [("execute", _execute(world.store, stale)), ("commit", _end("COMMIT"))]
    if split:
        steps.insert(0, ("lock", _lock(stale)))
    take = _acquire if takeover == "acquire" else _release(stale.token)
    with ExitStack() as sessions:
        owner = sessions.enter_context(Session("owner", world, postgres_server, steps))
        thief = sessions.enter_context(
            Session("thief", world, postgres_server, [("take", take), ("commit", _end(end))])
        )
        log = _drive_all([thief if which else owner for which in order])

    outcome = owner.answers["execute"]
    if isinstance(outcome, Committed):
        assert await world.history() == [b"stale"]
        # The takeover saw the end of the commit before it had the lease, or did not happen.
        assert end == "ROLLBACK" or log.index("owner commit") < log.index("thief take")
    else:
        assert outcome == Fenced()
        assert end == "COMMIT"
        assert log.index("thief commit") < log.index("owner execute")
        assert await state_of(world) == before
    again = await world.do(stale)
    assert again == Fenced() if end == "COMMIT" else isinstance(again, Committed)


async def test_a_commit_that_waits_inside_holds_the_takeover_off(world: World, postgres_server: PostgresServer) -> None:
    """Between its locks too: a group that has compared the token and waits for an instance is waited for."""
    assert isinstance(world.store, PostgresStore)
    commit = await world.next_commit(history=[b"late"])

    def hold(connection: psycopg.Connection) -> object:
        return connection.execute("SELECT FROM instances WHERE shard = 0 AND instance = 'order-1' FOR UPDATE")

    with ExitStack() as sessions:
        enter = sessions.enter_context
        other = enter(Session("other", world, postgres_server, [("hold", hold), ("end", _end("COMMIT"))]))
        steps = [("execute", _execute(world.store, commit)), ("commit", _end("COMMIT"))]
        owner = enter(Session("owner", world, postgres_server, steps))
        thief = enter(Session("thief", world, postgres_server, [("take", _acquire), ("commit", _end("COMMIT"))]))
        log = _drive_all([other, owner, thief, thief, other, owner])

    assert isinstance(owner.answers["execute"], Committed)
    assert log.index("owner commit") < log.index("thief take")
    assert await world.do(await world.next_commit(history=[b"more"])) == Fenced()


async def test_a_renewal_waits_for_no_commit(world: World, postgres_server: PostgresServer) -> None:
    """A lease is prolonged while a group that holds it is under way, however long that takes."""
    assert isinstance(world.store, PostgresStore)
    commit = await world.next_commit(history=[b"slow"])
    lease = world.held[0, ""]
    steps = [("execute", _execute(world.store, commit)), ("commit", _end("COMMIT"))]
    with Session("owner", world, postgres_server, steps) as owner:
        log: list[str] = []
        owner.start_next()
        assert owner.settle(log)
        assert world.leases.renew([lease], lease_ms=FAR_MS) == [True]
        owner.start_next()
        assert owner.settle(log)
    assert await world.history() == [b"slow"]


async def test_a_command_repeated_while_it_is_under_way_is_appended_once(
    world: World, postgres_server: PostgresServer
) -> None:
    """The repetition waits for the first, and only then asks whether its id was seen."""
    assert isinstance(world.store, PostgresStore)
    command = Append(0, "order-1", message("paid", remember=True))
    steps = [("execute", _execute(world.store, command)), ("commit", _end("COMMIT"))]
    with ExitStack() as sessions:
        first = sessions.enter_context(Session("first", world, postgres_server, steps))
        again = sessions.enter_context(Session("again", world, postgres_server, steps))
        log = _drive_all([first, again, first, again])

    assert log.index("first commit") < log.index("again execute")
    assert again.answers["execute"] == Appended(-1, duplicate=True)
    assert [text for _, text in await world.inbox()] == ["paid"]


@pytest.mark.parametrize("what", ["fire", "replace"])
async def test_what_is_beside_an_instance_is_locked_after_it(
    world: World, postgres_server: PostgresServer, what: str
) -> None:
    """Two groups on one instance do not wait for each other, whichever part of it they name first."""
    assert isinstance(world.store, PostgresStore)
    await world.commit(activities_set=[open_call(1)], reminders_set=[ReminderSet(timer(2), 0)])
    commit = await world.next_commit(activities_removed=[open_call(1).key], reminders_removed=[timer(2)])
    lease = world.held[0, ""]
    named_first: dict[str, list[Operation]] = {
        "fire": [FireReminder(0, lease.token, "", timer(2), message("due"))],
        "replace": [ReplaceActivity(0, "", open_call(1, revision=2), 1), Append(0, "order-1", message("more"))],
    }

    def hold(connection: psycopg.Connection) -> object:
        return connection.execute("SELECT FROM instances WHERE shard = 0 AND instance = 'order-1' FOR UPDATE")

    with ExitStack() as sessions:
        enter = sessions.enter_context
        other = enter(Session("other", world, postgres_server, [("hold", hold), ("end", _end("COMMIT"))]))
        steps = [("execute", _execute(world.store, commit)), ("commit", _end("COMMIT"))]
        first = enter(Session("first", world, postgres_server, steps))
        steps = [("execute", _execute(world.store, *named_first[what])), ("commit", _end("COMMIT"))]
        second = enter(Session("second", world, postgres_server, steps))
        _drive_all([other, first, second, other, first, second])

    assert isinstance(first.answers["execute"], Committed)
    assert second.answers["execute"] == (Refused("gone") if what == "fire" else Appended(0))
