"""SQLite after kill -9: what was answered is there, and nothing is half there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from contract.backends import APP, KEY_PREFIX
from contract.sqlite_crash_child import INSTANCES
from contract.worlds import SHARDS
from tenuto_engine.ports.leases import Lease
from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore

ROUNDS = 4
GROUPS_BEFORE_KILL = 12


def _write_until_killed(path: Path) -> int:
    """Run the child, kill it in the middle of its groups; return the history length it was last promised."""
    tests = Path(__file__).parents[1]
    command = [sys.executable, str(tests / "contract" / "sqlite_crash_child.py"), str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(tests)})
    assert child.stdout is not None
    with child.stdout as lines:
        answered = [next(lines) for _ in range(GROUPS_BEFORE_KILL)]
        child.kill()
        answered += [line for line in lines if line.endswith("\n")]
    child.wait()
    return int(answered[-1])


async def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    """After each of several kills history has what was promised, or the one group more that was under way, whole."""
    path = tmp_path / "state.db"
    for _ in range(ROUNDS):
        promised = _write_until_killed(path)

        store = SqliteStore(str(path), app=APP, key_prefix=KEY_PREFIX)
        info = await store.open(shards=SHARDS, durability="D2")
        assert info.exclusive
        lengths: set[int] = set()
        for number in range(INSTANCES):
            stored = await store.read_instance(0, f"order-{number}")
            assert stored is not None
            length = stored.head.history_length
            lengths.add(length)
            history = await store.read_history(0, f"order-{number}", first=0, count=1 << 20, max_bytes=1 << 30)
            assert history == [b"%d" % index for index in range(length)]
            unread = await store.read_inbox(0, f"order-{number}", first=0, end=1 << 20, limit=1 << 20)
            assert stored.inbox_next - stored.head.taken == len(unread)
        # Each group was one transaction: all instances stand at the same place.
        assert len(lengths) == 1
        assert lengths.pop() in (promised, promised + 2)

        # Whoever died is certainly dead, so its shard is taken at once, with the next epoch.
        leases = SqliteLeaseStore(str(path))
        (lease,) = leases.acquire([0], version="", owner="successor", lease_ms=1_000, force=True)
        assert isinstance(lease, Lease)
        assert lease.epoch > 1
        leases.close()
        await store.close()
