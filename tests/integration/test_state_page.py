"""The page about the state store names what is there, and nothing else."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import tenuto as wf
from apps import ended, served
from engines import BIN, EngineHere, EngineProcess, make_settings, short_folder
from servers import PostgresServer, RedisServer
from tenuto import aio
from tenuto._cli.main import main
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.ports.records import ActivityKey, Hint
from tenuto_engine.storage.postgres import PostgresLeaseStore, PostgresStore
from tenuto_engine.storage.redis import RedisLeaseStore, RedisStore
from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "state.md").read_text(encoding="utf-8")
SECONDS = 60  # until something is certainly wrong
KINDS = ("start", "activity", "timer", "event", "child")
Steps = Generator[Any, Any, Any]


def section(title: str) -> str:
    """The page's text under a heading."""
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def do_nothing(_ctx: wf.WorkflowActivityContext) -> None:
    """An activity."""


def work(ctx: wf.WorkflowContext, asked: list[Any]) -> Steps:
    """Does one kind of operation so many times."""
    kind, count = asked
    for number in range(count):
        if kind == "activity":
            yield ctx.call_activity(do_nothing)
        elif kind == "timer":
            yield ctx.create_timer(timedelta(milliseconds=1))
        elif kind == "event":
            yield ctx.wait_for_external_event("go")
        elif kind == "child":
            yield ctx.call_child_workflow(work, input=["start", 0], instance_id=f"{ctx.instance_id}/{number}")


def everything(ctx: wf.WorkflowContext) -> Steps:
    """Leaves something in every part of the store: it stays open, with a call, a timer and a message to itself."""
    ctx.set_custom_status("open")
    ctx.raise_event(ctx.instance_id, "unheard")
    yield wf.when_all(
        [ctx.call_activity("nobody's"), ctx.create_timer(timedelta(days=1)), ctx.call_child_workflow("missing")]
    )


async def records_of(engine: EngineHere, client: aio.WorkflowClient, kind: str, count: int) -> int:
    """How many records an instance and its children leave that does `count` operations of a kind."""
    instance_id = f"{kind}-{count}"
    await client.schedule_new_workflow(work, input=[kind, count], instance_id=instance_id)
    await client.wait_for_workflow_start(instance_id)
    for _ in range(count if kind == "event" else 0):
        await client.raise_workflow_event(instance_id, "go")
    await ended(client, instance_id)
    found = [state.instance_id async for state in client.iter_workflows(id_prefix=instance_id)]
    return sum([len(await engine.store.raw_records(shard_of(one, 4), one, limit=100)) for one in found])


async def test_record_counts(on_store: EngineHere) -> None:
    """The counts of the table are exact in every store, and within the ceilings beside them."""
    async with served(on_store, workflows=[work], activities=[do_nothing]) as client:
        start = await records_of(on_store, client, "start", 0)
        more = [await records_of(on_store, client, kind, 1) - start for kind in KINDS[1:]]
        chain = await records_of(on_store, client, "activity", 10)
    table = rows("How many records")
    assert [int(row[1]) for row in table] == [start, *more]
    assert all(int(row[1]) <= int(row[2]) for row in table)
    assert f"ten activities in a chain leave {chain}." in section("How many records")


async def fill(engine: EngineHere) -> None:
    """Have one instance that stays open, one that is suspended with a message, and one that is over."""
    async with served(engine, workflows=[everything, work]) as client:
        await client.schedule_new_workflow(everything, instance_id="open")
        await client.schedule_new_workflow(work, input=["event", 2], instance_id="held")
        await client.pause_workflow("held")
        await client.raise_workflow_event("held", "go")
        await client.schedule_new_workflow(work, input=["start", 0], instance_id="over")
        await ended(client, "over")
        while (state := await client.get_workflow_state("open")) and state.history_length < 7:
            pass
        while not [one async for one in client.iter_workflows(name="missing")]:
            pass


async def test_names_of_records(on_store: EngineHere) -> None:
    """The records of an instance have the page's names in every store."""
    names = {row[0].replace("NNNNNN", "") for row in rows("Records of an instance")}
    await fill(on_store)
    found: set[str] = set()
    for instance_id in ("open", "held"):
        records = await on_store.store.raw_records(shard_of(instance_id, 4), instance_id, limit=100)
        found |= {re.sub(r"-\d{6}$", "-", name) for name, _ in records}
    assert found == names


async def test_keys_in_redis(one_redis: RedisServer) -> None:
    """Every key in Redis has its line and its type on the page."""
    prefix = f"t-{uuid4().hex}"
    stores = (
        RedisStore(one_redis.url, app="default", key_prefix=prefix),
        RedisLeaseStore(one_redis.url, app="default", key_prefix=prefix),
    )
    async with EngineHere(make_settings(durability="D1", key_prefix=prefix), stores) as engine:
        await fill(engine)
        hint = Hint("greet", ActivityKey(1, "execution", "instance"))
        await engine.store.push_hints("", [hint])  # as engines do that share more calls than fit
        with one_redis.client() as redis:
            keys: list[bytes] = list(redis.scan_iter(match=f"{prefix}:*"))
            kinds: list[Any] = [redis.type(key) for key in keys]  # bytes, whatever the stubs say
            found = {(key.decode(), kind.decode()) for key, kind in zip(keys, kinds, strict=True)}
    patterns = {row[0]: (as_pattern(row[0], prefix), row[1]) for row in rows("Redis")}
    unknown = [
        key for key in found if not any(re.fullmatch(rx, key[0]) and kind == key[1] for rx, kind in patterns.values())
    ]
    assert not unknown
    unseen = [name for name, (rx, _) in patterns.items() if not any(re.fullmatch(rx, key) for key, _ in found)]
    # Messages leave the outbox within milliseconds, and marks are written only where replicas are waited for.
    assert set(unseen) <= {"tenuto:{APP/N}:outbox", "tenuto:{APP/N}:confirmed"}


def as_pattern(name: str, prefix: str) -> str:
    """A key as the page writes it, as a regular expression."""
    pattern = re.escape(name).replace("tenuto", prefix, 1).replace("APP", "default").replace("/N", r"/\d+")
    for word in ("VERSION", "NAME", "ID"):
        pattern = pattern.replace(word, ".*")
    return re.sub("S$", r"\\d+", pattern)


async def test_tables_in_sqlite(tmp_path: Path) -> None:
    """Every table of the file has its line on the page."""
    path = str(tmp_path / "state.db")
    stores = SqliteStore(path, app="default", key_prefix="tenuto"), SqliteLeaseStore(path)
    async with EngineHere(make_settings(durability="D2"), stores) as engine:
        await fill(engine)
    with sqlite3.connect(path) as database:
        found = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert found == {row[0] for row in rows("SQLite")}


async def test_tables_in_postgres(postgres_server: PostgresServer) -> None:
    """Every table of a schema has its line on the page."""
    prefix = f"t-{uuid4().hex}"
    stores = (
        PostgresStore(postgres_server.url, app="default", key_prefix=prefix),
        PostgresLeaseStore(postgres_server.url, app="default", key_prefix=prefix),
    )
    async with EngineHere(make_settings(durability="D2", key_prefix=prefix), stores) as engine:
        await fill(engine)
    with postgres_server.client() as client:
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
        found = {name for (name,) in client.execute(tables, [f"{prefix}:default"])}
    assert found == {row[0] for row in rows("PostgreSQL")}


def without_times(raw: str) -> str:
    """A record's bytes as shown, without blanks and without the moments in it, which are 64-bit numbers."""
    return re.sub(r"cf0[0-9a-f]{1,15}", "cf", raw.replace(" ", "").removesuffix("…"))


def test_the_example_of_state_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`tenuto state show` prints the page's records, in its order and with its decoded beginnings."""
    source = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    shown = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert source
    assert shown
    # The name of the folder is part of where a call was made.
    (folder_of_app := tmp_path / "hello").mkdir()
    (folder_of_app / "greeter.py").write_text(source[1], encoding="utf-8")
    with short_folder() as folder, EngineProcess(folder) as engine:
        command = [str(BIN / "python"), "-m", "tenuto._cli.app_host", "greeter:wfr"]
        app = subprocess.Popen(command, cwd=folder_of_app, env=engine.environment)
        with wf.WorkflowClient(engine=engine.address) as client:
            client.schedule_new_workflow("greeting", input="Ada", instance_id="greeting-1")
            while not (state := client.get_workflow_state("greeting-1")) or state.custom_status != "waiting":
                pass
        monkeypatch.setenv("TENUTO_ENGINE", engine.address)
        with pytest.raises(SystemExit) as ended_by:
            main(["state", "show", "greeting-1"])
        app.terminate()
        assert app.wait(SECONDS) == 0
    assert not ended_by.value.code
    printed = capsys.readouterr().out
    record = re.compile(r"^(metadata|customStatus|history-\d{6}) +(\d+)  ([0-9a-f …]+?) +([{\"].*)", re.MULTILINE)
    wanted, found = record.findall(shown[1]), record.findall(printed)
    assert [(name, size) for name, size, *_ in found] == [(name, size) for name, size, *_ in wanted], printed
    for (*_, raw, decoded), (*_, raw_shown, decoded_shown) in zip(found, wanted, strict=True):
        assert without_times(raw).startswith(without_times(raw_shown))
        assert decoded.startswith(decoded_shown.removesuffix("…").strip())
    assert "store key  tenuto:{default/26}:instance:greeting-1" in printed
