"""What PostgreSQL does when it dies, is full, slow or replaced: answered means kept, refused means not written."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from msgspec.structs import replace

from contract.backends import APP, KEY_PREFIX, PostgresBackend
from contract.dumps import dump
from contract.worlds import FAR_MS, SHARDS, World, call, message, new_instance, open_call, timer
from faulty import until
from servers import LossyProxy, PostgresServer
from tenuto_engine.core.status import TERMINAL
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease, Member
from tenuto_engine.ports.operations import (
    Append,
    Commit,
    Create,
    Deliver,
    Delivery,
    DropReminder,
    FireReminder,
    Operation,
    Purge,
    RemoveOutbox,
    ReplaceActivity,
)
from tenuto_engine.ports.outcomes import Appended, Committed, Created, Done, Outcome, Rejected, Unconfirmed
from tenuto_engine.ports.records import OutboxSend, ReminderSet
from tenuto_engine.storage.postgres import PostgresLeaseStore, PostgresStore

NewPostgres = Callable[..., PostgresServer]


@asynccontextmanager
async def opened(
    url: str, *, durability: str = "D2", timeout_s: float = 20.0, lease_ms: int = 10_000
) -> AsyncIterator[World]:
    """A store on this server, as a world."""
    store = PostgresStore(url, app=APP, key_prefix=KEY_PREFIX, timeout_s=timeout_s, lease_ms=lease_ms)
    leases = PostgresLeaseStore(url, app=APP, key_prefix=KEY_PREFIX, lease_ms=lease_ms)
    await store.open(shards=SHARDS, durability=durability)
    try:
        yield World(PostgresBackend(url), store, leases)
    finally:
        leases.close()
        await store.close()


@pytest.fixture
def server(new_postgres: NewPostgres) -> PostgresServer:
    """A server of this test alone, with the settings of a new one."""
    return new_postgres()


@contextmanager
def tables_of(server: PostgresServer) -> Iterator[psycopg.Connection]:
    """A connection of an administrator who looks at the app's tables."""
    with server.client() as client:
        client.execute(f'SET search_path = "{KEY_PREFIX}:{APP}"'.encode())
        yield client


async def until_answered(world: World, operation: Operation) -> Outcome:
    """Repeat an operation while the store does not answer, as the engine does with one that may happen twice."""
    outcome: Outcome = Rejected("")
    while isinstance(outcome, Rejected | Unconfirmed):
        outcome = await world.do(operation)
    return outcome


# -- the server dies ----------------------------------------------------------------------------------------------


async def test_what_was_answered_is_there_after_the_server_was_killed_between_groups(server: PostgresServer) -> None:
    """Every commit answered before SIGKILL is read after the restart; each unconfirmed one happened whole or not."""
    async with opened(server.url) as world:
        names = [f"order-{i}" for i in range(16)]
        await world.store.execute([Create(0, new_instance(name)) for name in names])
        answered = dict.fromkeys(names, 0)
        commits = {name: await world.next_commit(name, history=[b"a", b"b"]) for name in names}
        killer = asyncio.get_running_loop().run_in_executor(None, server.kill)
        while True:
            outcomes = await world.store.execute(list(commits.values()))
            if not all(isinstance(outcome, Committed) for outcome in outcomes):
                break
            for name, done in commits.items():
                answered[name] = done.head.history_length
                commits[name] = following(done)
        await killer
        assert all(isinstance(outcome, Unconfirmed | Rejected) for outcome in outcomes)
        await asyncio.to_thread(server.start)
        heads = [(await world.stored(name)).head for name in names]
        for head, (name, length) in zip(heads, answered.items(), strict=True):
            assert head.history_length in (length, length + 2)
            assert len(await world.history(name)) == head.history_length
        # One group is one transaction.
        assert len({head.history_length - answered[name] for head, name in zip(heads, names, strict=True)}) == 1


def following(done: Commit) -> Commit:
    """A commit of two more events on top of another."""
    head = done.head
    return replace(
        done,
        base_commit_id=head.commit_id,
        base_length=head.history_length,
        head=replace(head, commit_id=f"{head.commit_id}+", history_length=head.history_length + 2),
    )


@pytest.mark.parametrize("ending", ["kill", "stop"])
async def test_a_store_whose_server_came_back_goes_on_and_names_another_incarnation(
    server: PostgresServer, ending: str
) -> None:
    """While the server is away operations are rejected and reads raise; afterwards no restart is needed."""
    async with opened(server.url) as world:
        await world.create()
        before = world.store.incarnation()
        await asyncio.to_thread(getattr(server, ending))
        # The first sees the connection broken, the second finds none.
        assert isinstance(await world.append("lost"), Unconfirmed | Rejected)
        assert isinstance(await world.append("refused"), Rejected)
        with pytest.raises(StoreUnavailable):
            await world.stored()
        with pytest.raises(StoreUnavailable):
            world.leases.members()
        await asyncio.to_thread(server.start)
        assert isinstance(await world.append("kept"), Appended)
        assert [text for _, text in await world.inbox()] == ["kept"]
        assert world.leases.members() == []
        assert world.store.incarnation() != before


def recovered(server: PostgresServer) -> None:
    """Wait until the server has recovered from a crash of one of its processes."""
    count = 1
    while count:
        with suppress(psycopg.OperationalError), tables_of(server) as client:
            (count,) = client.execute("SELECT count(*) FROM life").fetchone() or (1,)


async def test_a_crash_that_the_first_process_outlives_is_another_incarnation(server: PostgresServer) -> None:
    """One backend killed makes the server recover, and lose what it had not written: the engine must notice."""
    async with opened(server.url, durability="D1") as world:
        await world.create()
        first_process, before = server.pid, world.store.incarnation()
        with server.client() as client:
            psutil.Process(client.info.backend_pid).kill()
        await asyncio.to_thread(recovered, server)
        await until_answered(world, Append(0, "order-1", message("after", remember=True)))
        assert server.pid == first_process
        assert world.store.incarnation() != before


async def test_the_incarnation_of_an_undisturbed_server_stays(server: PostgresServer) -> None:
    """Also over new connections, and for every engine."""
    async with opened(server.url) as world, opened(server.url) as other:
        before = world.store.incarnation()
        assert other.store.incarnation() == before != ""
        with server.client() as client:
            client.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'tenuto%'"
            )
        await until_answered(world, Create(0, new_instance()))
        assert world.store.incarnation() == before


async def test_terminated_sessions_are_made_again(server: PostgresServer) -> None:
    """An administrator ends them: what was under way is not confirmed, what follows is as before."""
    async with opened(server.url) as world:
        await world.create()
        world.leases.heartbeat(Member("a", "", 1, draining=False, has_workers=True), ttl_ms=FAR_MS)
        commit = await world.next_commit(history=[b"once"])
        with server.client() as client:
            client.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'tenuto%'"
            )
        assert isinstance(await until_answered(world, commit), Committed)
        assert await world.history() == [b"once"]
        assert len(world.leases.members()) == 1


# -- answers are late or lost -------------------------------------------------------------------------------------


@contextmanager
def lossy(server: PostgresServer, folder: Path) -> Iterator[tuple[str, LossyProxy]]:
    with LossyProxy(server.socket, folder / server.socket.name) as proxy:
        yield server.url_of("postgres", folder), proxy


async def test_a_lost_reply_is_unconfirmed_and_the_same_commit_again_is_a_duplicate(
    server: PostgresServer, tmp_path: Path
) -> None:
    """The commit id tells that it happened; its effects happened once."""
    with lossy(server, tmp_path) as (url, proxy):
        async with opened(url) as world:
            await world.create()
            commit = await world.next_commit(history=[b"once"], outbox=[OutboxSend(1, b"sent once")])
            append = Append(0, "order-1", message("remembered", remember=True))
            await world.store.execute([DropReminder(0, "nobody", "", timer(1))])  # prepares the statement
            proxy.loses_replies = True
            assert all(isinstance(outcome, Unconfirmed) for outcome in await world.store.execute([commit, append]))
            proxy.loses_replies = False
            assert isinstance(await until_answered(world, commit), Committed)
            assert await world.store.execute([commit, append]) == [
                Committed(1, duplicate=True),
                Appended(-1, duplicate=True),
            ]
            assert await world.history() == [b"once"]
            assert len(await world.store.read_outbox(0, after=0, limit=10)) == 1


def test_a_lease_call_whose_reply_is_lost_is_not_repeated_in_secret(server: PostgresServer, tmp_path: Path) -> None:
    """The caller hears of it and acquires anew: each call is one grant, and one epoch."""

    async def make_schema() -> None:
        async with opened(server.url):
            pass

    asyncio.run(make_schema())
    with lossy(server, tmp_path) as (url, proxy):
        leases = PostgresLeaseStore(url, app=APP, key_prefix=KEY_PREFIX)

        def acquire() -> int:
            (lease,) = leases.acquire([0], version="", owner="me", lease_ms=FAR_MS)
            assert isinstance(lease, Lease)
            return lease.epoch

        assert acquire() == 1
        proxy.loses_replies = True
        with pytest.raises(StoreUnavailable):
            acquire()
        proxy.loses_replies = False
        assert acquire() == 3
        leases.close()


async def test_a_server_that_does_not_answer_in_time_leaves_the_outcome_unknown(server: PostgresServer) -> None:
    """A paused server means unconfirmed, not a hang; the repetition has its effect exactly once."""
    async with opened(server.url, timeout_s=0.3) as world:
        await world.create()
        commit = await world.next_commit(history=[b"once"])
        await asyncio.to_thread(server.pause)
        outcome = await world.do(commit)
        assert isinstance(outcome, Unconfirmed)
        assert "0.3 s" in outcome.error
        assert isinstance(await world.do(commit), Rejected)  # no new connection either
        with pytest.raises(StoreUnavailable):
            await world.stored()
        await asyncio.to_thread(server.resume)
        assert isinstance(await until_answered(world, commit), Committed)
        assert await world.history() == [b"once"]


def test_a_lease_call_to_a_paused_server_ends_in_time(server: PostgresServer) -> None:
    """The keeper's thread is never held for longer than its time."""

    async def make_schema() -> None:
        async with opened(server.url):
            pass

    asyncio.run(make_schema())
    leases = PostgresLeaseStore(server.url, app=APP, key_prefix=KEY_PREFIX, timeout_s=0.3)
    assert leases.members() == []
    server.pause()
    with pytest.raises(StoreUnavailable, match=r"0\.3 s"):
        leases.members()
    server.resume()
    assert leases.members() == []
    leases.close()


def test_a_lease_call_ends_in_time_where_the_server_pauses_behind_the_connect(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was made, and says nothing from then on, does not hold the keeper's thread either."""

    async def make_schema() -> None:
        async with opened(server.url):
            pass

    asyncio.run(make_schema())
    connect = psycopg.connect

    def connect_and_pause(*arguments: Any, **options: Any) -> Any:
        made = connect(*arguments, **options)
        server.pause()
        return made

    leases = PostgresLeaseStore(server.url, app=APP, key_prefix=KEY_PREFIX, timeout_s=0.3)
    with monkeypatch.context() as patched, ThreadPoolExecutor(1) as keeper:
        patched.setattr(psycopg, "connect", connect_and_pause)
        try:
            with pytest.raises(StoreUnavailable, match=r"0\.3 s"):
                keeper.submit(leases.members).result(timeout=20)
        finally:
            server.resume()
    members: list[Member] | None = None
    while members is None:
        with suppress(StoreUnavailable):  # a busy machine may need longer than such a short time
            members = leases.members()
    assert members == []
    leases.close()


async def test_a_cancelled_group_does_not_leave_its_answer_to_the_next(server: PostgresServer) -> None:
    """An answer still due belongs to nobody: the next group gets its own."""
    async with opened(server.url) as world:
        await world.create()
        await asyncio.to_thread(server.pause)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):  # cancels; the paused server cannot answer before or after
                await world.store.execute([Append(0, "order-1", message(str(i))) for i in range(5)])
        await asyncio.to_thread(server.resume)
        assert isinstance(await world.do(Create(0, new_instance("order-2"))), Created)


async def test_a_group_sent_half_holds_no_lock(server: PostgresServer) -> None:
    """An engine paused while it sends a large group does not keep its successor from the shard."""
    async with opened(server.url) as world:
        assert isinstance(world.store, PostgresStore)
        await world.create()
        large = await world.next_commit(history=[b"x" * (16 << 20)])
        assert world.store._packer is not None
        params = world.store._packer.group([large], window_ms=1_000)
        link = world.store._writers[0]
        await link.ask("execute_group", *world.store._packer.group([], window_ms=1_000))
        assert link._connection is not None
        pgconn = link._connection.pgconn
        pgconn.send_query_prepared(b"execute_group", params, param_formats=[1] * len(params), result_format=1)
        assert pgconn.flush() == 1, "the group is larger than what the socket takes"
        (lease,) = world.leases.acquire([0], version="", owner="successor", lease_ms=FAR_MS, force=True)
        assert isinstance(lease, Lease)
        with server.client() as client:
            held = "SELECT count(*) FROM pg_locks WHERE relation::regclass::text LIKE '%%leases%%' AND pid = %s"
            assert client.execute(held, [pgconn.backend_pid]).fetchone() == (0,)
        link._drop()
        assert (await world.stored()).head.history_length == 0


# -- the server refuses -------------------------------------------------------------------------------------------


async def fill(world: World) -> tuple[list[Operation], list[Operation]]:
    """Make an instance with one of everything; answer operations that would add records, and that remove some."""
    now = await world.store.now_ms()
    await world.create(messages=[message("m0"), message("m1")])
    await world.create("order-2")
    await world.finish("order-2", reminders_set=[ReminderSet(timer(0, "order-2", kind="retention"), now)])
    await world.commit(
        history=[b"h0"],
        activities_set=[open_call(1), open_call(2)],
        reminders_set=[ReminderSet(timer(3), now - 1), ReminderSet(timer(4), now - 1)],
        outbox=[OutboxSend(1, b"sent")],
    )
    token = world.token()
    everything: dict[str, Any] = {
        "consumed": [0],
        "custom_status": b"status",
        "activities_removed": [call(1)],
        "activities_set": [open_call(5)],
        "reminders_removed": [timer(3)],
        "reminders_set": [ReminderSet(timer(6), now)],
        "outbox": [OutboxSend(2, b"more")],
        "appends": [("order-1", message("to itself"))],
    }
    growing: list[Operation] = [
        Create(0, new_instance("order-4")),
        Create(0, new_instance("order-2", start_id="s3", replace=TERMINAL)),
        Append(0, "order-1", message("closes", remember=True), closes=call(1), attempt=1),
        await world.next_commit(history=[b"h1"], **everything),
        await world.next_commit(history=[b"h1"], renew=True, execution_id="e2", **everything),
        FireReminder(0, token, "", timer(3), message("fired")),
        Deliver(0, 1, [Delivery(7, "order-1", message("delivered")), Delivery(8, create=new_instance("order-5"))]),
    ]
    (sent,) = await world.store.read_outbox(0, after=0, limit=10)
    shrinking: list[Operation] = [
        DropReminder(0, token, "", timer(4)),
        ReplaceActivity(0, "", open_call(1, attempt=2, revision=2), 1),
        RemoveOutbox(0, [sent.number]),
        Purge(0, "order-2", "e1"),
    ]
    return growing, shrinking


_TRIGGER = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'made to fail' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER refused BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION public.refuse();
"""


@pytest.mark.parametrize(
    "code",
    ["53100", "53200", "25006", "55P03", "57014", "40001", "58030", "XX001"],
    ids=lambda code: f"SQLSTATE-{code}",
)
async def test_a_server_that_refuses_to_write_records_has_written_nothing(server: PostgresServer, code: str) -> None:
    """Full disk, no memory, read-only, a lock, a broken page …: each adding operation is rejected and changes nothing.

    Removals work; when the cause is gone everything works, without a restart.
    """
    async with opened(server.url) as world:
        growing, shrinking = await fill(world)
        before = await dump(world.store, shards=SHARDS)
        with tables_of(server) as client:
            client.execute(_TRIGGER.format(code=code).encode())
            for operation in growing:
                outcome = await world.do(operation)
                assert isinstance(outcome, Rejected), operation
                assert "made to fail" in outcome.error
                assert code in outcome.error
                assert await dump(world.store, shards=SHARDS) == before, operation
            assert all(isinstance(outcome, Rejected) for outcome in await world.store.execute(growing))
            assert await world.store.execute(shrinking) == [Done()] * 4
            assert await world.store.read_instance(0, "order-2") is None
            client.execute("DROP TRIGGER refused ON records")
        assert isinstance(await world.do(growing[0]), Created)
        assert isinstance(await world.do(growing[3]), Committed)


async def test_a_group_undone_by_a_deadlock_is_sent_again(server: PostgresServer) -> None:
    """It was certainly not executed, so its repetition is its first execution."""
    async with opened(server.url) as world:
        await world.create()
        commit = await world.next_commit(history=[b"once"])
        with tables_of(server) as client:
            client.execute("CREATE SEQUENCE public.tries")
            body = "IF nextval('public.tries') < 3 THEN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END IF;"
            client.execute(
                f"CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql"
                f" AS $$ BEGIN {body} RETURN NEW; END $$;"
                "CREATE TRIGGER refused BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION public.refuse()".encode()
            )
        assert await world.do(commit) == Committed(0)
        assert await world.history() == [b"once"]


async def test_operations_that_cross_in_two_engines_do_not_deadlock(server: PostgresServer) -> None:
    """Groups lock in one order, whatever the order of their operations."""
    async with opened(server.url) as world, opened(server.url) as other:
        names = [f"order-{i}" for i in range(20)]
        await world.store.execute([Create(i % SHARDS, new_instance(name)) for i, name in enumerate(names)])
        there = [Append(i % SHARDS, name, message()) for i, name in enumerate(names)]
        back = list(reversed(there))
        for _ in range(20):
            both = await asyncio.gather(world.store.execute(there), other.store.execute(back))
            assert all(isinstance(outcome, Appended) for outcomes in both for outcome in outcomes)
        with server.client() as client:
            deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"
            client.execute("SELECT pg_stat_force_next_flush()")
            assert client.execute(deadlocks).fetchone() == (0,)


async def test_a_lock_that_is_not_given_up_costs_a_sentence_not_a_hang(server: PostgresServer) -> None:
    """Below half a lease the server gives up waiting, for all of the group."""
    async with opened(server.url, lease_ms=400) as world:
        await world.create()
        await world.create("order-2")
        with tables_of(server) as client, client.transaction():
            client.execute("SELECT FROM instances WHERE instance = 'order-1' FOR UPDATE")
            outcomes = await world.store.execute(
                [Append(0, "order-2", message()), Append(0, "order-1", message())]
            )  # fmt: skip
            assert all(isinstance(outcome, Rejected) and "lock timeout" in outcome.error for outcome in outcomes)
        assert isinstance(await world.append("after"), Appended)
        assert await world.inbox("order-2") == []


async def test_an_operation_that_cannot_be_stored_undoes_no_other(server: PostgresServer) -> None:
    """A number or a text that the database has no room for is refused alone, with a sentence."""
    async with opened(server.url) as world:
        await world.create()
        outcomes = await world.store.execute(
            [
                Append(0, "order-1", message("before")),
                Append(0, "order-1", message("\0")),
                Append(0, "\ud800", message("surrogate")),
                Append(1 << 63, "order-1", message("number")),
                Append(0, "order-1", message("after")),
            ]
        )
        assert [type(outcome) for outcome in outcomes] == [Appended, Rejected, Rejected, Rejected, Appended]
        assert [text for _, text in await world.inbox()] == ["before", "after"]


async def test_an_answer_that_cannot_be_read_has_nothing_executed_twice(server: PostgresServer) -> None:
    """A status that only a later release knows: that answer is unknown, and the others of the group stand."""
    async with opened(server.url) as world:
        await world.create()
        await world.create("order-2")
        with tables_of(server) as client:
            client.execute("UPDATE instances SET status = 99 WHERE instance = 'order-2'")
        operations: list[Operation] = [Append(0, "order-1", message()), Create(0, new_instance("order-2"))]
        appended, created = await world.store.execute(operations)
        assert appended == Appended(0)
        assert isinstance(created, Unconfirmed)
        assert len(await world.inbox()) == 1


def take_all(server: PostgresServer, taken: ExitStack) -> None:
    """Connect until the server lets nobody in any more."""
    with suppress(psycopg.OperationalError):
        while True:
            taken.enter_context(server.client())


async def test_a_server_without_free_connections_is_waited_for(new_postgres: NewPostgres) -> None:
    """Connections taken by others: operations are rejected by name, and go on when one is free."""
    server = new_postgres(max_connections="8", superuser_reserved_connections="0")
    async with opened(server.url) as world:
        await world.create()
        with server.client() as client:
            end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'tenuto%'"
            client.execute(end)
            with ExitStack() as taken:
                take_all(server, taken)
                await world.append("broken")
                outcome = await world.append("refused")
                assert isinstance(outcome, Rejected)
                assert "too many clients" in outcome.error
                with pytest.raises(StoreUnavailable, match="too many clients"):
                    await world.stored()
        assert isinstance(await until_answered(world, Append(0, "order-1", message("kept"))), Appended)


# -- replicas -----------------------------------------------------------------------------------------------------


@pytest.fixture
def replicated(new_postgres: NewPostgres) -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary and a streaming standby."""
    primary = new_postgres(wal_level="replica", max_wal_senders="4", hot_standby="on")
    standby = PostgresServer(**primary.settings)
    standby.follow(primary)
    standby.start()
    yield primary, standby
    standby.close()


async def test_a_standby_is_refused_and_a_promoted_one_goes_on(
    replicated: tuple[PostgresServer, PostgresServer],
) -> None:
    """With both servers in the URL a failover needs no restart: what was answered is there, and is known as another."""
    primary, standby = replicated
    with pytest.raises(StoreUnavailable, match="read-only"):
        async with opened(standby.url):
            pass
    hosts = f"postgresql://tenuto@/postgres?host={primary.socket.parent},{standby.socket.parent}&port=5432,5432"
    with primary.client() as client:
        client.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        client.execute("SELECT pg_reload_conf()")
    async with opened(hosts, durability="D3") as world:
        await world.create()
        await world.commit(history=[b"before"])
        before = world.store.incarnation()
        await asyncio.to_thread(primary.kill)
        assert isinstance(await world.append("lost"), Unconfirmed | Rejected)
        with standby.client() as client:
            client.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            assert client.execute("SELECT pg_promote(true, 30)").fetchone() == (True,)
        (outcome,) = await world.store.execute([Append(0, "order-1", message())])
        assert isinstance(outcome, Rejected)
        assert "synchronous_standby_names" in outcome.error
    async with opened(hosts) as world:
        assert await world.history() == [b"before"]
        assert isinstance(await world.append("kept"), Appended)
        assert world.store.incarnation().split("/")[0] == before.split("/")[0]
        assert world.store.incarnation() != before


def inbox_next(server: PostgresServer) -> int:
    """How many messages the server's only instance was sent."""
    with tables_of(server) as client:
        ((number,),) = client.execute("SELECT inbox_next FROM instances").fetchall()
        return int(number)


async def test_no_link_stays_with_a_former_primary_that_lives_on(
    replicated: tuple[PostgresServer, PostgresServer], tmp_path: Path
) -> None:
    """Where a name passes to another server, the first link that meets it takes all along, those for reads too."""
    primary, standby = replicated
    place = tmp_path / "database"
    place.symlink_to(primary.socket.parent)
    async with opened(f"postgresql://tenuto@/postgres?host={place}&port=5432") as world:
        store = world.store
        assert isinstance(store, PostgresStore)
        await world.create()

        async def use_all_links() -> list[Outcome]:
            """Two write and four read."""
            answers = await asyncio.gather(*[store.execute([Append(0, "order-1", message())]) for _ in range(2)])
            await asyncio.gather(*[world.stored() for _ in range(4)])
            return [outcome for (outcome,) in answers]

        await use_all_links()
        before = store.incarnation()
        with primary.client() as former, standby.client() as client:
            position = former.execute("SELECT pg_current_wal_lsn()").fetchone()
            await until(lambda: client.execute("SELECT pg_last_wal_replay_lsn() >= %s", position).fetchone() == (True,))
            assert client.execute("SELECT pg_promote(true, 30)").fetchone() == (True,)
            place.unlink()
            place.symlink_to(standby.socket.parent)
            connection = store._writers[0]._connection
            assert connection is not None
            former.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        while store.incarnation() == before:
            await use_all_links()
        count = inbox_next(primary)
        assert all(isinstance(outcome, Appended) for outcome in await use_all_links())
        assert inbox_next(primary) == count
        found = await asyncio.gather(*[world.stored() for _ in range(4)])
        assert {each.inbox_next for each in found} == {inbox_next(standby)}


async def test_a_wait_for_replicas_cut_short_is_not_an_answer(server: PostgresServer) -> None:
    """At D3 a commit that is on the primary alone is unconfirmed, although the server calls it done."""
    async with opened(server.url) as world:
        await world.create()
    with server.client() as client:
        client.execute("ALTER SYSTEM SET synchronous_standby_names = 'ghost'")
        client.execute("SELECT pg_reload_conf()")
        async with opened(server.url, durability="D3") as world:
            commit = asyncio.get_running_loop().create_task(world.do(Append(0, "order-1", message("waits"))))
            waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            await until(lambda: client.execute(waiting).fetchone(), "a wait for the replica")
            client.execute(f"SELECT pg_cancel_backend(pid) FROM ({waiting}) AS w".encode())
            outcome = await commit
            assert isinstance(outcome, Unconfirmed)
            assert "synchronous replication" in outcome.error


def test_a_server_ended_by_its_signal_comes_back(server: PostgresServer) -> None:
    """What the tests above rest on: kill is a power cut, stop is not."""
    psutil.Process(server.pid).send_signal(signal.SIGCONT)
    server.stop()
    controls = subprocess.run(
        [str(server.binary("pg_controldata")), str(server.data)], capture_output=True, text=True, check=True
    ).stdout
    assert "shut down" in controls
    server.start()
    server.kill()
    controls = subprocess.run(
        [str(server.binary("pg_controldata")), str(server.data)], capture_output=True, text=True, check=True
    ).stdout
    assert "in production" in controls
