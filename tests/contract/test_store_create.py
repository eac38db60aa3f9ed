"""What `Create` promises."""

from __future__ import annotations

from typing import Any

import pytest

from contract.dumps import dump, without_lasting
from contract.worlds import FAR_MS, SHARDS, World, message, new_instance, open_call, timer
from tenuto_engine.core.status import TERMINAL, Hold, Status
from tenuto_engine.ports.operations import Create
from tenuto_engine.ports.outcomes import Created, Exists
from tenuto_engine.ports.records import ReminderSet


async def test_a_new_instance_is_read_back_as_given(world: World) -> None:
    """Head, metadata, history, inbox and reminders of a new instance are stored as given."""
    due = await world.store.now_ms() + FAR_MS
    new = new_instance(
        history=[b"copied", b"too"],
        history_length=2,
        messages=[message("start"), message("second")],
        reminders=[ReminderSet(timer(3), due)],
    )

    assert await world.do(Create(0, new)) == Created(ready=True)

    stored = await world.stored()
    assert (stored.head, stored.metadata, stored.inbox_next) == (new.head, new.metadata, 2)
    assert await world.inbox() == [(0, "start"), (1, "second")]
    assert await world.history() == [b"copied", b"too"]
    assert await world.store.read_reminders(0, "", limit=10) == [(timer(3), due)]
    assert await world.store.read_custom_status(0, "order-1") is None


async def test_every_field_of_a_head_survives(world: World) -> None:
    """No field of a head is lost, mixed up or rounded, also empty texts and large numbers."""
    heads: list[dict[str, Any]] = [
        {"status": Status.STALLED, "hold": Hold.STALLED, "execution_id": "x-1", "commit_id": "c-1", "start_id": "s-1"},
        {"history_length": 50_000, "taken": 2**40, "inbox_low": 2**39, "version": "v1.2-3", "start_id": ""},
        {"execution_id": "", "commit_id": "", "version": ""},
    ]
    for number, fields in enumerate(heads):
        new = new_instance(f"order-{number}", **fields)
        await world.must(Created, Create(0, new))
        assert (await world.stored(f"order-{number}")).head == new.head


@pytest.mark.parametrize(
    "instance_id", ["a|b@c", "{braces}", "'\"", "a b", "é漢🎵", "x" * 1024, "%_*?[a]\\", "-", "a:b"]
)
async def test_strange_ids_are_ids(world: World, instance_id: str) -> None:
    """Any text that the edge accepts as an id names exactly one instance."""
    await world.create(instance_id, messages=[message("start")])

    assert await world.ready() == [instance_id]
    assert await world.inbox(instance_id) == [(0, "start")]
    assert await world.store.read_instance(0, instance_id + "x") is None
    await world.finish(instance_id, consumed=[0], history=[b"h"])
    assert await world.history(instance_id) == [b"h"]


async def test_the_same_id_in_another_shard_is_another_instance(world: World) -> None:
    """Shards share nothing."""
    await world.create(shard=0, execution_id="e0")
    await world.create(shard=1, execution_id="e1")

    assert (await world.stored(shard=0)).head.execution_id == "e0"
    assert (await world.stored(shard=1)).head.execution_id == "e1"


async def test_a_repeated_start_is_a_duplicate_in_any_status(world: World) -> None:
    """The same start command gets the same answer, also after the instance ended, and writes nothing."""
    new = new_instance(start_id="s1", messages=[message("start")], replace=TERMINAL)
    await world.must(Created, Create(0, new))
    assert await world.do(Create(0, new)) == Exists(True, Status.RUNNING, "e1")

    await world.finish(consumed=[0])
    before = await dump(world.store, shards=SHARDS)

    assert await world.do(Create(0, new)) == Exists(True, Status.COMPLETED, "e1")
    assert await dump(world.store, shards=SHARDS) == before


async def test_a_taken_id_is_refused_with_its_status(world: World) -> None:
    """Another start command for a taken id is told who holds it."""
    await world.create(start_id="s1", status=Status.SUSPENDED)
    assert await world.do(Create(0, new_instance(start_id="s2"))) == Exists(False, Status.SUSPENDED, "e1")


async def test_empty_start_ids_are_never_equal(world: World) -> None:
    """Two starts without a command id are two commands."""
    await world.create(start_id="")
    assert await world.do(Create(0, new_instance(start_id=""))) == Exists(False, Status.RUNNING, "e1")


async def test_only_the_named_statuses_are_replaced(world: World) -> None:
    """`replace` lists exactly the statuses whose record may be replaced."""
    await world.create()
    await world.finish(status=Status.FAILED)
    again = new_instance(execution_id="e2", start_id="s2", replace=frozenset({Status.COMPLETED}))
    assert await world.do(Create(0, again)) == Exists(False, Status.FAILED, "e1")

    again = new_instance(execution_id="e2", start_id="s2", replace=frozenset({Status.FAILED}))
    assert await world.do(Create(0, again)) == Created(ready=False)


async def test_replacing_leaves_nothing_of_the_former_instance(world: World) -> None:
    """A replaced instance looks exactly like one that was created on an empty store."""
    again = new_instance(execution_id="e2", start_id="s2", replace=TERMINAL, messages=[message("again")])
    await world.must(Created, Create(1, again))
    expected = without_lasting(await dump(world.store, shards=SHARDS))[1]

    due = await world.store.now_ms() + FAR_MS
    await world.create(start_id="s1", messages=[message("start"), message("late")])
    await world.commit(
        consumed=[0],
        history=[b"h0", b"h1"],
        custom_status=b"busy",
        reminders_set=[ReminderSet(timer(1), due)],
        activities_set=[open_call(2)],
    )
    retention = ReminderSet(timer(0, kind="retention"), due)
    await world.finish(reminders_set=[retention], reminders_removed=[timer(1)], activities_removed=[open_call(2).key])
    assert await world.do(Create(0, again)) == Created(ready=True)

    found = without_lasting(await dump(world.store, shards=SHARDS))[0]
    assert found == expected


async def test_the_start_of_a_replaced_instance_stays_a_duplicate(world: World) -> None:
    """A late repetition of the first start must not replace the second instance."""
    first = new_instance(start_id="s1", replace=TERMINAL)
    await world.must(Created, Create(0, first))
    await world.finish()
    await world.must(Created, Create(0, new_instance(execution_id="e2", start_id="s2", replace=TERMINAL)))
    await world.finish(status=Status.TERMINATED)

    assert await world.do(Create(0, first)) == Exists(True, Status.TERMINATED, "")


@pytest.mark.parametrize(
    ("hold", "control", "ready"),
    [(Hold.NONE, False, True), (Hold.DELAYED, False, False), (Hold.DELAYED, True, True)],
)
async def test_a_held_instance_is_born_ready_only_for_control(
    world: World, hold: Hold, control: bool, ready: bool
) -> None:
    """A delayed start waits for its reminder, but control messages pass."""
    new = new_instance(hold=hold, messages=[message("start", control=control)])

    assert await world.do(Create(0, new)) == Created(ready=ready)
    assert await world.ready() == (["order-1"] if ready else [])
