"""What `Commit` promises: it is fenced, compares before it writes, writes all or nothing, and happens once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from contract.dumps import dump
from contract.worlds import FAR_MS, SHARDS, World, call, message, new_instance, open_call, timer
from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.leases import Lease
from tenuto_engine.ports.operations import Append, Create
from tenuto_engine.ports.outcomes import Appended, Committed, Conflict, Exists, Fenced, Refused
from tenuto_engine.ports.records import IndexEntry, InstanceFilter, OutboxSend, ReminderSet


async def test_a_commit_writes_every_part(world: World) -> None:
    """History, inbox, head, metadata, status text, calls, reminders and outbox move in one operation."""
    await world.create(messages=[message("start"), message("event")])
    due = await world.store.now_ms() + FAR_MS

    done = await world.commit(
        consumed=[0],
        history=[b"h0", b"h1"],
        custom_status=b"working",
        activities_set=[open_call(2)],
        reminders_set=[ReminderSet(timer(3), due)],
        outbox=[OutboxSend(1, b"to one")],
    )

    assert (done.inbox_next, len(done.outbox), done.appended, done.duplicate) == (2, 1, (), False)
    stored = await world.stored()
    assert (stored.head.history_length, stored.head.taken, stored.head.inbox_low) == (2, 1, 1)
    assert stored.metadata == b"metadata of commit-1"
    assert await world.history() == [b"h0", b"h1"]
    assert await world.inbox() == [(1, "event")]
    assert await world.store.read_custom_status(0, "order-1") == b"working"
    assert await world.entry(call(2)) == open_call(2)
    assert await world.store.read_reminders(0, "", limit=10) == [(timer(3), due)]
    assert [record.number for record in await world.store.read_outbox(0, after=0, limit=10)] == list(done.outbox)


async def test_history_is_appended(world: World) -> None:
    """A commit adds records behind those of earlier ones, and changes none."""
    await world.create()
    await world.commit(history=[b"a", b"b"])
    await world.commit(history=[])
    await world.commit(history=[b"c"])

    assert await world.history() == [b"a", b"b", b"c"]


async def test_a_commit_without_its_lease_is_fenced(world: World) -> None:
    """A wrong, empty or never granted token writes nothing."""
    await world.create(messages=[message("start")])
    good = await world.next_commit(consumed=[0], history=[b"h"])
    before = await dump(world.store, shards=SHARDS)

    for token in ("", "1-other", good.token + "0"):
        assert await world.do(replace(good, token=token)) == Fenced()
    assert await world.do(replace(good, lease_version="v2")) == Fenced()
    assert await dump(world.store, shards=SHARDS) == before


async def test_an_empty_token_owns_no_shard_that_was_never_leased(world: World) -> None:
    """Absence of a lease is not a lease."""
    await world.create()
    operation = await world.next_commit()
    await world.create(shard=3)
    assert await world.do(replace(operation, shard=3, token="")) == Fenced()


async def test_a_former_owner_is_fenced_for_ever(world: World) -> None:
    """Once another grant was made, the earlier token writes nothing, also to an unchanged instance."""
    await world.create()
    stale = await world.next_commit(history=[b"zombie"])
    (lease,) = world.leases.acquire([0], version="", owner="other", lease_ms=FAR_MS, force=True)
    assert isinstance(lease, Lease)

    assert await world.do(stale) == Fenced()
    world.leases.release([lease], cause="release")
    assert await world.do(stale) == Fenced()
    assert await world.history() == []


async def test_a_released_lease_fences(world: World) -> None:
    """Who gave the shard up cannot write to it any more."""
    await world.create()
    operation = await world.next_commit()
    world.leases.release([world.held[0, ""]], cause="release")
    assert await world.do(operation) == Fenced()


async def test_an_expired_lease_that_nobody_took_still_commits(world: World) -> None:
    """The token fences, not the clock: time alone makes no second owner."""
    await world.create()
    (lease,) = world.leases.acquire([0], version="", owner="me", lease_ms=1, force=True)
    assert isinstance(lease, Lease)
    world.held[0, ""] = lease
    await world.backend.elapse(5)
    assert (await world.commit(history=[b"h"])).duplicate is False


async def test_a_missing_instance_conflicts(world: World) -> None:
    """A commit to an instance that was purged meanwhile makes none."""
    await world.create()
    operation = await world.next_commit()
    assert await world.do(replace(operation, instance_id="order-2")) == Conflict("missing")
    assert await world.store.read_instance(0, "order-2") is None


async def test_what_the_commit_builds_on_is_compared(world: World) -> None:
    """Execution, commit id and length must be the stored ones; the answer names the first that differs."""
    await world.create(execution_id="e7")
    await world.commit(history=[b"a"])
    good = await world.next_commit(history=[b"b"])
    before = await dump(world.store, shards=SHARDS)

    assert await world.do(replace(good, base_execution_id="e6")) == Conflict("execution", "e7")
    assert await world.do(replace(good, base_commit_id="c9", base_length=0)) == Conflict("commit", "commit-1")
    assert await world.do(replace(good, base_length=0)) == Conflict("length", "1")
    assert await dump(world.store, shards=SHARDS) == before
    assert isinstance(await world.do(good), Committed)


async def test_every_consumed_message_must_exist(world: World) -> None:
    """A message that is gone refuses the commit, by number; the others stay."""
    await world.create(messages=[message("a"), message("b"), message("c")])
    await world.commit(consumed=[1])
    good = await world.next_commit(consumed=[0, 2], history=[b"h"])
    before = await dump(world.store, shards=SHARDS)

    assert await world.do(replace(good, consumed=[0, 1, 2])) == Conflict("message", "1")
    assert await world.do(replace(good, consumed=[3])) == Conflict("message", "3")
    assert await dump(world.store, shards=SHARDS) == before
    assert isinstance(await world.do(good), Committed)
    assert await world.inbox() == []


async def test_the_same_commit_again_is_a_duplicate(world: World) -> None:
    """A repetition after a lost reply is told so, with the numbering of now, and changes nothing."""
    await world.create(messages=[message("start")])
    operation = await world.next_commit(consumed=[0], history=[b"h"], outbox=[OutboxSend(1, b"x")])
    await world.must(Committed, operation)
    await world.append("late")
    before = await dump(world.store, shards=SHARDS)

    assert await world.do(operation) == Committed(inbox_next=2, duplicate=True)
    assert await dump(world.store, shards=SHARDS) == before


async def test_a_commit_that_was_built_upon_conflicts(world: World) -> None:
    """Only the last commit is known by its id; an older one no longer fits."""
    await world.create()
    first = await world.next_commit(history=[b"a"])
    await world.must(Committed, first)
    await world.commit(history=[b"b"])
    assert await world.do(first) == Conflict("commit", "commit-2")


async def test_custom_status_stays_until_it_is_set_again(world: World) -> None:
    """None leaves the custom status; empty bytes are a value."""
    await world.create()
    await world.commit(custom_status=b"one")
    await world.commit()
    assert await world.store.read_custom_status(0, "order-1") == b"one"
    await world.commit(custom_status=b"")
    assert await world.store.read_custom_status(0, "order-1") == b""


async def test_concurrent_appends_and_commits_lose_nothing(world: World) -> None:
    """Messages that arrive while commits remove others are all there, once, in the end."""
    await world.create()
    # Leases are taken from a thread of their own; here before the storm.
    world.token()
    sent = [f"m{number}" for number in range(60)]

    async def send() -> None:
        for start in range(0, 60, 3):
            await asyncio.gather(*(world.append(text) for text in sent[start : start + 3]))

    async def take() -> list[str]:
        taken: list[str] = []
        while len(taken) < len(sent):
            unread = await world.inbox()
            if unread:
                await world.commit(consumed=[number for number, _ in unread], history=[b"h"])
                taken += [text for _, text in unread]
            await asyncio.sleep(0)
        return taken

    _, taken = await asyncio.gather(send(), take())

    assert sorted(taken) == sorted(sent)
    assert (await world.stored()).head.taken == 60
    assert await world.ready() == []


async def test_messages_for_the_same_shard_go_with_the_commit(world: World) -> None:
    """`appends` are answered as `Append` would, in order, and refusals fail nothing."""
    await world.create("order-1")
    await world.create("order-2")
    await world.create("done")
    await world.finish("done")

    done = await world.commit(
        history=[b"h"],
        appends=[
            ("order-2", message("one")),
            ("nobody", message("two")),
            ("done", message("three")),
            ("order-2", message("four", execution_id="e9")),
            ("order-2", message("five", execution_id="e1")),
        ],
    )

    assert list(done.appended) == [
        Appended(0),
        Refused("not_found"),
        Refused("terminal"),
        Refused("stale_execution"),
        Appended(1),
    ]
    assert await world.inbox("order-2") == [(0, "one"), (1, "five")]
    assert await world.ready() == ["order-2"]
    assert await world.history() == [b"h"]


async def test_a_message_to_oneself_is_read_later(world: World) -> None:
    """An append to the committing instance is numbered, counted in the answer, and marks it ready."""
    await world.create(messages=[message("start")])

    done = await world.commit(consumed=[0], appends=[("order-1", message("note"))])

    assert (done.inbox_next, list(done.appended)) == (2, [Appended(1)])
    assert await world.inbox() == [(1, "note")]
    assert await world.ready() == ["order-1"]


async def test_a_message_to_oneself_meets_what_the_commit_wrote(world: World) -> None:
    """An instance that ends in this commit no longer takes its own message."""
    await world.create()
    done = await world.finish(appends=[("order-1", message("note"))])
    assert list(done.appended) == [Refused("terminal")]
    assert (done.inbox_next, await world.ready()) == (0, [])


async def test_entries_are_removed_and_ignored_where_missing(world: World) -> None:
    """Removing a call or reminder that does not exist is no error."""
    await world.create()
    due = await world.store.now_ms() + FAR_MS
    await world.commit(activities_set=[open_call(1), open_call(2)], reminders_set=[ReminderSet(timer(3), due)])

    await world.commit(activities_removed=[call(1), call(9)], reminders_removed=[timer(3), timer(9)])

    assert await world.store.read_activities(0, "", due_ms=None, limit=10) == [open_call(2)]
    assert await world.store.read_reminders(0, "", limit=10) == []


async def test_removal_comes_before_setting(world: World) -> None:
    """A reminder that a commit removes and sets is set."""
    await world.create()
    due = await world.store.now_ms() + FAR_MS
    await world.commit(reminders_set=[ReminderSet(timer(1), due)])
    await world.commit(reminders_removed=[timer(1)], reminders_set=[ReminderSet(timer(1), due + 7)])
    assert await world.store.read_reminders(0, "", limit=10) == [(timer(1), due + 7)]


async def test_an_instance_passes_to_another_version(world: World) -> None:
    """Ready mark, reminders and calls move with the version that the commit names."""
    due = await world.store.now_ms() + FAR_MS
    await world.create(version="v1", messages=[message("a"), message("b")])
    await world.commit(consumed=[0], activities_set=[open_call(1)], reminders_set=[ReminderSet(timer(2), due)])
    world.token(version="v2")

    await world.commit(
        version="v2",
        activities_removed=[call(1)],
        reminders_removed=[timer(2)],
        activities_set=[open_call(1)],
        reminders_set=[ReminderSet(timer(2), due)],
    )

    assert (await world.ready(version="v1"), await world.ready(version="v2")) == ([], ["order-1"])
    assert await world.store.count_reminders([0], "v1") == 0
    assert await world.store.count_reminders([0], "v2") == 1
    assert await world.entry(call(1), version="v1") is None
    assert await world.entry(call(1), version="v2") == open_call(1)
    assert await world.append("c") == Appended(2)


async def test_the_index_moves_with_the_commit(world: World) -> None:
    """Listing by status follows in the same operation."""
    await world.create()
    await world.commit(
        status=Status.SUSPENDED,
        old_index=IndexEntry("ship", Status.RUNNING, 1_000),
        index=IndexEntry("ship", Status.SUSPENDED, 1_000),
    )

    running = InstanceFilter(statuses=frozenset({Status.RUNNING}))
    suspended = InstanceFilter(statuses=frozenset({Status.SUSPENDED}))
    assert await world.store.list_instances(0, running) == []
    assert [each.instance_id for each in await world.store.list_instances(0, suspended)] == ["order-1"]


async def test_a_large_commit_is_one_commit(world: World) -> None:
    """A commit at the engine's bound of 1,000 records and more is written whole."""
    await world.create(messages=[message(f"m{number}") for number in range(1_200)])
    history = [b"%06d" % number for number in range(1_500)]

    await world.commit(
        consumed=list(range(1_200)),
        history=history,
        activities_set=[open_call(number, look_at_ms=number) for number in range(1_200)],
        outbox=[OutboxSend(1, b"x")] * 1_200,
    )

    assert await world.store.read_history(0, "order-1", first=0, count=2_000, max_bytes=1 << 20) == history
    assert len(await world.store.read_activities(0, "", due_ms=None, limit=5_000)) == 1_200
    assert len(await world.store.read_outbox(0, after=0, limit=5_000)) == 1_200
    assert await world.inbox() == []


# -- the ready mark -----------------------------------------------------------------------------------------------


async def test_nothing_unread_is_not_ready(world: World) -> None:
    """A commit that took everything removes the mark; one that left something keeps it as it was."""
    await world.create(messages=[message("a"), message("b")])
    marked = await world.store.read_ready(0, "", limit=10)
    await world.backend.elapse(5)

    await world.commit(consumed=[0])
    assert await world.store.read_ready(0, "", limit=10) == marked
    await world.commit(consumed=[1])
    assert await world.ready() == []


async def test_a_message_during_the_turn_keeps_the_mark(world: World) -> None:
    """What arrived after the turn read the inbox is not forgotten."""
    await world.create(messages=[message("start")])
    turn = await world.next_commit(consumed=[0])
    await world.append("late")
    await world.must(Committed, turn)
    assert await world.ready() == ["order-1"]


async def test_the_mark_is_set_as_told(world: World) -> None:
    """`ready_at_ms` replaces the mark where the instance stays ready, and is nothing where it does not."""
    await world.create(messages=[message("a"), message("b")])
    await world.commit(consumed=[0], ready_at_ms=12_345)
    assert await world.store.read_ready(0, "", limit=10) == [("order-1", 12_345)]
    await world.commit(consumed=[1], ready_at_ms=12_345)
    assert await world.ready() == []


async def test_an_open_turn_stays_ready(world: World) -> None:
    """`keep_ready` keeps an instance ready without unread messages."""
    await world.create(messages=[message("start")])
    await world.commit(consumed=[0], keep_ready=True)
    assert await world.ready() == ["order-1"]
    await world.commit()
    assert await world.ready() == []


async def test_a_hold_removes_the_mark_and_its_end_restores_it(world: World) -> None:
    """Suspended with unread messages: not ready; resumed: ready again."""
    await world.create(messages=[message("suspend", control=True), message("event")])
    await world.commit(consumed=[0], status=Status.SUSPENDED, hold=Hold.SUSPENDED)
    assert await world.ready() == []

    await world.append("resume", control=True)
    assert await world.ready() == ["order-1"]
    await world.commit(consumed=[2], status=Status.RUNNING, hold=Hold.NONE)
    assert await world.ready() == ["order-1"]
    await world.commit(consumed=[1])
    assert await world.ready() == []


async def test_a_hold_with_keep_ready_is_still_a_hold(world: World) -> None:
    """A hold is stronger than an open turn."""
    await world.create(messages=[message("start")])
    await world.commit(consumed=[0], hold=Hold.STALLED, keep_ready=True, ready_at_ms=5)
    assert await world.ready() == []


async def test_a_control_message_during_the_turn_that_holds_is_not_forgotten(world: World) -> None:
    """A resume that arrives while the suspension is being committed leaves the instance ready."""
    await world.create(messages=[message("suspend", control=True)])
    turn = await world.next_commit(consumed=[0], status=Status.SUSPENDED, hold=Hold.SUSPENDED)
    await world.append("resume", control=True)
    await world.append("event")

    await world.must(Committed, turn)

    assert await world.ready() == ["order-1"]
    await world.commit(consumed=[1], hold=Hold.SUSPENDED)
    assert await world.ready() == []


async def test_a_terminal_instance_is_never_ready(world: World) -> None:
    """Messages left unread by the end of an instance wake nobody; they stay until the purge."""
    await world.create(messages=[message("start"), message("unread", control=True)])
    await world.finish(consumed=[0], keep_ready=True, ready_at_ms=5)
    assert await world.ready() == []
    assert await world.inbox() == [(1, "unread")]


@pytest.mark.parametrize("renew", [False, True])
async def test_a_resumed_instance_with_old_mark_gets_a_new_one(world: World, renew: bool) -> None:
    """The mark after a hold is the moment of the commit that ended it."""
    await world.create(hold=Hold.DELAYED, messages=[message("start")])
    fields: dict[str, Any] = {"renew": True, "execution_id": "e2"} if renew else {}
    before = await world.store.now_ms()
    await world.commit(hold=Hold.NONE, **fields)
    ((_, mark),) = await world.store.read_ready(0, "", limit=10)
    assert before <= mark <= await world.store.now_ms()


async def test_an_append_and_its_commit_may_travel_in_one_group(world: World) -> None:
    """Operations of a group see one another's effects in order."""
    await world.create()
    commit = await world.next_commit(consumed=[0], history=[b"h"])
    outcomes = await world.store.execute([Append(0, "order-1", message("one")), commit])
    assert [type(outcome) for outcome in outcomes] == [Appended, Committed]
    assert await world.do(Create(0, new_instance())) == Exists(False, Status.RUNNING, "e1")
