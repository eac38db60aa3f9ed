"""Purging: an instance and its tree are removed whole, children first, the parent last.

So a purge that was interrupted is finished by repeating it. Finished instances are purged by themselves once their
retention has run out, by a reminder that their terminal commit has written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from tenuto_engine.codec.events import decode_event, encode_event
from tenuto_engine.codec.records import decode_metadata
from tenuto_engine.core.events import ChildCreated, ExecutionTerminated
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.status import TERMINAL
from tenuto_engine.ports.errors import CommandRefused
from tenuto_engine.ports.operations import Append, DropReminder, Purge
from tenuto_engine.ports.outcomes import Appended, Done, Outcome, Refused
from tenuto_engine.ports.records import ReminderKey, Stored
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.births import message_of
from tenuto_engine.runtime.committer import Committer
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.loading import Loading
from tenuto_engine.runtime.log_fields import trace_field
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.turn_commit import RETENTION_REMINDER

_log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.05
_TERMINATE_SECONDS = 30.0


class Purging:
    """Removes instances: by command, and when their retention has run out."""

    def __init__(self, context: Context, store: Store, committer: Committer, loading: Loading) -> None:
        self._context = context
        self._store = store
        self._committer = committer
        self._loading = loading
        self.shard_owned: Callable[[int], Shard | None]

    async def expire(self, shard: Shard, key: ReminderKey) -> Outcome:
        """A retention reminder is due: remove the instance, and the reminder with it."""
        outcome = await self._committer.execute(Purge(shard.number, key.instance_id, key.execution_id, reminders=[key]))
        if isinstance(outcome, Done):
            self._context.metrics.purged.inc()
        elif isinstance(outcome, Refused):
            # The instance is gone or lives again; the reminder is void.
            return await self._committer.execute(
                DropReminder(shard.number, shard.lease.token, shard.lease.version, key)
            )
        return outcome

    async def purge(
        self, instance_id: str, *, recursive: bool, force: bool, requested_by: str, reason: str = ""
    ) -> int:
        """Remove an instance, with its children where `recursive`; returns how many were removed.

        Raises CommandRefused: not_found; precondition where one still runs and `force` is not set; unavailable.
        """
        stored = await self._stored(instance_id)
        if stored is None:
            raise CommandRefused("not_found", f"there is no instance '{instance_id}'; nothing was purged")
        tree = {instance_id: stored}
        unseen = [instance_id]
        while unseen:
            member_id = unseen.pop()
            if tree[member_id].head.status not in TERMINAL:
                if not force:
                    raise CommandRefused(
                        "precondition",
                        f"instance '{member_id}' is still running and cannot be purged; "
                        "terminate it first, or purge with force",
                    )
                # Before its children are looked for: once it has ended it starts no more of them.
                await self._terminate(member_id, requested_by, recursive=recursive, reason=reason)
                tree[member_id] = await self._stored(member_id) or tree[member_id]
            if recursive:
                children = await self._children(member_id, tree[member_id])
                unseen.extend(child_id for child_id in children if child_id not in tree)
                tree.update((child_id, child) for child_id, child in children.items() if child_id not in tree)
        removed = 0
        for member_id in reversed(tree):
            removed += await self._remove(member_id)
        _log.info(
            "purged",
            instance=instance_id,
            shard=shard_of(instance_id, self._context.settings.shards),
            execution=stored.head.execution_id,
            removed=removed,
            recursive=recursive,
            forced=force,
            requested_by=requested_by,
            reason=reason,
            **trace_field(decode_metadata(stored.metadata).trace_parent),
        )
        return removed

    async def _children(self, instance_id: str, stored: Stored) -> dict[str, Stored]:
        """The children of an instance. One with another parent by now is not ours to remove."""
        shard = shard_of(instance_id, self._context.settings.shards)
        names = {child.instance_id for child in decode_metadata(stored.metadata).children}
        async for page in self._loading.pages(shard, instance_id, stored.head.history_length):
            names.update(e.instance_id for e in map(decode_event, page) if isinstance(e, ChildCreated))
        children: dict[str, Stored] = {}
        for child_id in sorted(names):
            child = await self._stored(child_id)
            parent = decode_metadata(child.metadata).parent if child is not None else None
            if child is not None and parent is not None and parent.instance_id == instance_id:
                children[child_id] = child
        return children

    async def _stored(self, instance_id: str) -> Stored | None:
        return await self._store.read_instance(shard_of(instance_id, self._context.settings.shards), instance_id)

    async def _terminate(self, instance_id: str, requested_by: str, *, recursive: bool, reason: str) -> None:
        shard = shard_of(instance_id, self._context.settings.shards)
        event = ExecutionTerminated(None, recursive, reason or "purged with force", requested_by)
        message_id = self._context.new_id()
        message = message_of(
            encode_event(event), message_id=message_id, at_ms=self._context.clock.now_ms(), control=True, remember=True
        )
        outcome = await self._committer.execute(Append(shard, instance_id, message))
        if isinstance(outcome, Appended):
            owned = self.shard_owned(shard)
            if owned is not None:
                self._loading.deliver(owned, instance_id, outcome.number)
        elif not isinstance(outcome, Refused):
            raise CommandRefused(
                "unavailable", f"the store did not answer while '{instance_id}' was terminated; purge it again"
            )
        try:
            async with asyncio.timeout(_TERMINATE_SECONDS):
                # Another engine may own the instance, so only the store can tell.
                while not await self._is_over(instance_id):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            text = (
                f"instance '{instance_id}' did not end within {_TERMINATE_SECONDS:g} s of being terminated; "
                "purge it again"
            )
            raise CommandRefused("unavailable", text) from error

    async def _is_over(self, instance_id: str) -> bool:
        stored = await self._stored(instance_id)
        return stored is None or stored.head.status in TERMINAL

    async def _remove(self, instance_id: str) -> int:
        stored = await self._stored(instance_id)
        if stored is None:
            return 0
        shard = shard_of(instance_id, self._context.settings.shards)
        key = ReminderKey(RETENTION_REMINDER, 0, stored.head.execution_id, instance_id)
        outcome = await self._committer.execute(Purge(shard, instance_id, stored.head.execution_id, reminders=[key]))
        if isinstance(outcome, Done):
            self._context.metrics.purged.inc()
            self._context.metrics.reminder_cancelled()
            return 1
        if isinstance(outcome, Refused):
            return 0
        raise CommandRefused(
            "unavailable", f"the store did not answer while '{instance_id}' was purged; purge it again"
        )
