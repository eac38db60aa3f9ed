"""`tenuto verify` as a command: on a live and on a stopped store, with findings and without, and unreadable ones."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

import tenuto as wf
from apps import run, served
from engines import BIN, EngineHere, make_settings
from tenuto_engine.ports.errors import StoreRefused
from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore, WriteGate


def greet(ctx: wf.WorkflowContext, name: str) -> str:
    return f"hello {name}"


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / "tenuto"), "verify", *words], capture_output=True, text=True, check=False)


@pytest.fixture
async def path(tmp_path: Path) -> str:
    """A SQLite file in which one workflow ran, found sound while the engine had it open."""
    path, gate = str(tmp_path / "state.db"), WriteGate()
    stores = SqliteStore(path, app="default", key_prefix="tenuto", gate=gate), SqliteLeaseStore(path, gate=gate)
    async with (
        EngineHere(make_settings(durability="D2"), stores) as engine,
        served(engine, workflows=[greet]) as client,
    ):
        await run(client, greet, "ann", instance_id="one")
        live = command("--state-store", f"sqlite:///{path}", "--output", "json")
        assert (live.returncode, json.loads(live.stdout)["counts"]["ended"]) == (0, 1)
    return path


async def test_a_sound_store_ends_with_0(path: str) -> None:
    """Nothing found: exit code 0, and the last line says so."""
    done = command("--state-store", f"sqlite:///{path}", "--settled")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "nothing found: all invariants hold"


async def test_a_broken_store_ends_with_1_and_says_what_to_do(path: str) -> None:
    """A finding names invariant, instance, record, what was expected, what stands there, and what to do."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM records WHERE name = 'history-000001'")
    done = command("--state-store", f"sqlite:///{path}")
    assert done.returncode == 1
    for text in (
        "I2 history-names",
        "instance 'one', history",
        "expected: 3 records",
        "1 missing",
        "do:",
        "\n1 finding\n",
        "read 4 shards: 1 instance (1 ended), ",
    ):
        assert text in done.stdout
    told = json.loads(command("--state-store", f"sqlite:///{path}", "--output", "json").stdout)
    assert [(each["rule"], each["subject"]) for each in told["findings"]] == [("history-names", "instance 'one'")]


async def test_logs_are_read_from_files(path: str, tmp_path: Path) -> None:
    """Client log and ledger are judged with the store; a last line that was being written is left out."""
    log, ledger = tmp_path / "clients", tmp_path / "ledger"
    log.write_text('{"op":"start","at_ms":1,"instance":"gone","execution":"x"}\n{"op":"st')
    ledger.write_text('{"instance":"one","execution":"x","event":1,"attempt":1,"key":"a"}\n')
    words = ("--state-store", f"sqlite:///{path}", "--client-log", str(log), "--ledger", str(ledger))
    assert "I9 start-lost" in command(*words).stdout
    log.write_text('{"op":"start","at_ms":1000,"instance":"gone","execution":"x"}\n{"op":"store-died","at_ms":1500}\n')
    assert command(*words, "--lost-seconds", "1").returncode == 0
    log.write_text("nonsense\n")
    broken = command(*words)
    assert (broken.returncode, "line 1 of the client log cannot be read" in broken.stderr) == (2, True)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory:", "only be seen by the process"),
        ("sqlite:////nowhere/at/all.db", "check --state-store"),
        ("redis://127.0.0.1:1", "cannot be reached"),
        ("mysql://x", "unknown kind"),
    ],
)
def test_what_cannot_be_read_ends_with_2(url: str, said: str) -> None:
    """No store, or one of another kind: exit code 2, and one sentence."""
    done = command("--state-store", url)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "write memory:" not in done.stderr


async def test_a_file_of_another_names_the_option_that_differs(path: str) -> None:
    """The advice repeats no option that is right already."""
    done = command("--state-store", f"sqlite:///{path}", "--key-prefix", "other")
    assert (done.returncode, done.stderr.endswith("; give --key-prefix tenuto\n")) == (2, True)


async def test_a_lost_layout_record_is_told_from_a_new_file(path: str) -> None:
    """Checker and engine both say that the record is lost, not that the store is new."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM layout")
    assert "has lost its layout record" in command("--state-store", f"sqlite:///{path}").stderr
    with pytest.raises(StoreRefused, match="has lost its layout record"):
        await SqliteStore(path, app="default", key_prefix="tenuto", gate=WriteGate()).open(shards=4, durability="D2")
