"""A process that writes to a SQLite store until it is killed, and says what was answered.

Run by test_sqlite_crash: prints one line per instance for each group that was answered, flushed before the next.
"""

from __future__ import annotations

import asyncio
import sys

from contract.backends import APP, KEY_PREFIX
from contract.worlds import SHARDS, World, message
from tenuto_engine.ports.operations import Append
from tenuto_engine.ports.outcomes import Appended, Committed
from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore

INSTANCES = 8


async def _write(path: str) -> None:
    store = SqliteStore(path, app=APP, key_prefix=KEY_PREFIX)
    await store.open(shards=SHARDS, durability="D2")
    world = World(backend=None, store=store, leases=SqliteLeaseStore(path))  # type: ignore[arg-type]
    ids = [f"order-{number}" for number in range(INSTANCES)]
    for instance_id in ids:
        if await store.read_instance(0, instance_id) is None:
            await world.create(instance_id)
    while True:
        length = (await world.stored(ids[0])).head.history_length
        appends = await store.execute([Append(0, each, message(f"m{length}")) for each in ids])
        assert all(isinstance(outcome, Appended) for outcome in appends), appends
        numbers = [outcome.number for outcome in appends if isinstance(outcome, Appended)]
        records = [b"%d" % length, b"%d" % (length + 1)]
        commits = [
            await world.next_commit(each, consumed=[number], history=records, commit_id=f"c{length + 2}")
            for each, number in zip(ids, numbers, strict=True)
        ]
        outcomes = await store.execute(commits)
        assert all(isinstance(outcome, Committed) for outcome in outcomes), outcomes
        sys.stdout.write(f"{length + 2}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_write(sys.argv[1]))
