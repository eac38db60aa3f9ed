"""Groups: answered one by one, in order, a refused operation changes nothing and undoes no other."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from contract.dumps import dump
from contract.worlds import FAR_MS, SHARDS, World, call, message, new_instance, open_call, timer
from tenuto_engine.ports.operations import (
    Append,
    Commit,
    Create,
    Deliver,
    DropReminder,
    FireReminder,
    Operation,
    Purge,
    ReplaceActivity,
)
from tenuto_engine.ports.outcomes import Appended, Committed, Conflict, Created, Exists, Fenced, Refused
from tenuto_engine.ports.records import NewInstance, OutboxSend, ReminderSet


async def test_an_empty_group_is_nothing(world: World) -> None:
    """No operations, no answers."""
    assert await world.store.execute([]) == []


async def test_refused_operations_leave_the_others_standing(world: World) -> None:
    """Good and bad operations in one group are each answered as if alone."""
    await world.create("order-1", messages=[message("start")])
    await world.create("order-2")
    good = await world.next_commit("order-1", consumed=[0], history=[b"h"])
    bad = replace(await world.next_commit("order-2", history=[b"h"]), base_length=7)

    outcomes = await world.store.execute(
        [
            Append(0, "nobody", message("a")),
            good,
            bad,
            Create(0, new_instance("order-2")),
            Append(0, "order-2", message("b")),
            Create(2, new_instance("order-3")),
        ]
    )

    assert [type(outcome) for outcome in outcomes] == [Refused, Committed, Conflict, Exists, Appended, Created]
    assert await world.history("order-1") == [b"h"]
    assert await world.history("order-2") == []
    assert await world.inbox("order-2") == [(0, "b")]


async def test_a_group_over_many_shards_is_answered_in_order(world: World) -> None:
    """Answers stand where their operations stood, whatever shard they touched."""
    operations: list[Operation] = [Create(number % SHARDS, new_instance(f"o-{number}")) for number in range(40)]
    operations += [Append(number % SHARDS, f"o-{number}", message(f"m-{number}")) for number in range(0, 80, 2)]

    outcomes = await world.store.execute(operations)

    assert outcomes[:40] == [Created(ready=False)] * 40
    assert outcomes[40:60] == [Appended(0)] * 20
    assert outcomes[60:] == [Refused("not_found")] * 20


async def test_concurrent_groups_are_each_answered_to_their_caller(world: World) -> None:
    """Groups of several callers, executed together or not, do not mix up their answers."""
    sizes = [1, 7, 3, 20, 2, 11]

    async def create(caller: int, size: int) -> list[object]:
        group = [Create(each % SHARDS, new_instance(f"{caller}-{each}", start_id=f"{caller}")) for each in range(size)]
        return [*await world.store.execute([*group, group[0]])]

    answers = await asyncio.gather(*(create(caller, size) for caller, size in enumerate(sizes)))

    for size, answer in zip(sizes, answers, strict=True):
        assert answer[:-1] == [Created(ready=False)] * size
        assert isinstance(answer[-1], Exists)
        assert answer[-1].duplicate


def _commit_refusals(good: Commit) -> dict[str, Commit]:
    return {
        "fenced": replace(good, token="1-nobody"),
        "missing": replace(good, instance_id="nobody"),
        "execution": replace(good, base_execution_id="e0"),
        "commit": replace(good, base_commit_id="c9"),
        "length": replace(good, base_length=good.base_length + 1),
        "message": replace(good, consumed=[0, 99]),
    }


def _refusals(world: World, good: Commit, child: NewInstance) -> dict[str, Operation]:
    """One operation for every way to be refused, each with all the writes that it must not do."""
    token = world.token()
    late = message("late", remember=True)
    return {
        **_commit_refusals(good),
        "exists": Create(0, replace(child, instance_id="order-1")),
        "append nobody": Append(0, "nobody", late),
        "append stale": Append(0, "order-1", replace(late, execution_id="e0"), closes=call(1)),
        "append terminal": Append(0, "done", late),
        "append closed": Append(0, "order-1", late, closes=call(9)),
        "append attempt": Append(0, "order-1", late, closes=call(1), attempt=2),
        "fire fenced": FireReminder(0, "1-nobody", "", timer(2), late),
        "fire early": FireReminder(0, token, "", timer(2), late),
        "fire gone": FireReminder(0, token, "", timer(9), late),
        "drop fenced": DropReminder(0, "1-nobody", "", timer(2)),
        "replace closed": ReplaceActivity(0, "", open_call(9), 1),
        "replace stale": ReplaceActivity(0, "", open_call(1, revision=9), 8),
        "purge nobody": Purge(0, "nobody", "e1", reminders=[timer(2)], activities=[call(1)]),
        "purge running": Purge(0, "order-1", "e1", reminders=[timer(2)], activities=[call(1)]),
        "purge stale": Purge(0, "done", "e0", reminders=[timer(2)], activities=[call(1)]),
        "deliver nothing": Deliver(0, 1, []),
    }


REFUSALS = [
    *("fenced", "missing", "execution", "commit", "length", "message", "exists"),
    *("append nobody", "append stale", "append terminal", "append closed", "append attempt"),
    *("fire fenced", "fire early", "fire gone", "drop fenced", "replace closed", "replace stale"),
    *("purge nobody", "purge running", "purge stale", "deliver nothing"),
]


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refused_operation_has_changed_nothing(world: World, name: str) -> None:
    """For every way to be refused: all that the store shows is the same before and after."""
    due = await world.store.now_ms() + FAR_MS
    await world.create("done")
    await world.finish("done")
    await world.create("order-1", messages=[message("start")])
    await world.commit(history=[b"h"], activities_set=[open_call(1)], reminders_set=[ReminderSet(timer(2), due)])
    child = new_instance("child", messages=[message("start")], start_id="s9")
    good = await world.next_commit(
        consumed=[0],
        history=[b"x"],
        custom_status=b"x",
        activities_set=[open_call(3)],
        activities_removed=[call(1)],
        reminders_set=[ReminderSet(timer(4), due)],
        reminders_removed=[timer(2)],
        outbox=[OutboxSend(1, b"x")],
        appends=[("order-1", message("x"))],
    )
    refused = _refusals(world, good, child)[name]
    before = await dump(world.store, shards=SHARDS)

    outcome = await world.do(refused)

    assert isinstance(outcome, Refused | Conflict | Fenced | Exists) or name == "deliver nothing", outcome
    assert await dump(world.store, shards=SHARDS) == before
    # The command id of what was refused was not remembered either.
    assert await world.append("late", remember=True) == Appended(1)


async def test_every_refusal_is_tried(world: World) -> None:
    """The list of cases above names each of them."""
    await world.create("order-1")
    assert sorted(_refusals(world, await world.next_commit(), new_instance("child"))) == sorted(REFUSALS)
