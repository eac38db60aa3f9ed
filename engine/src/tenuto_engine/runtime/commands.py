"""The management side of the runtime: what clients ask, answered once it is durable.

Any engine takes any command for any instance, whether or not it owns the shard, and whether or not a worker is
alive: a command is a message in the store first. Refusals say what, which id, which limit and what to do.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import structlog

from tenuto_engine.codec.events import decode_event, encode_event
from tenuto_engine.codec.records import decode_activity
from tenuto_engine.core.events import (
    Event,
    EventRaised,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
)
from tenuto_engine.core.limits import MAX_REASON_BYTES, refuse_instance_id, refuse_name
from tenuto_engine.core.requests import LATEST_MS, refuse_command, refuse_listing, refuse_start
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.ports.errors import CommandRefused, StoreUnavailable
from tenuto_engine.ports.inbound import InstanceView, ListRequest, RerunRequest, Started, StartRequest
from tenuto_engine.ports.operations import Append, Create, Operation
from tenuto_engine.ports.outcomes import Appended, Created, Exists, Outcome, Refused, Rejected, Unconfirmed
from tenuto_engine.ports.records import InstanceFilter, Listed, Message, NewInstance, Stored
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.births import message_of, new_instance
from tenuto_engine.runtime.committer import Committer
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance, Phase
from tenuto_engine.runtime.loading import Loading
from tenuto_engine.runtime.log_fields import about
from tenuto_engine.runtime.nudges import News, shard_topic
from tenuto_engine.runtime.ownership import Owned
from tenuto_engine.runtime.purging import Purging
from tenuto_engine.runtime.reruns import rerun_instance, rewound_instance
from tenuto_engine.runtime.views import Views

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

LONGEST_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.25
# A turn takes a few milliseconds; an owner that did not get the nudge finds the command in its sweep, within a second.
_EFFECT_SECONDS = 2.5
_LOADING_SECONDS = 0.01
_FAILED = frozenset({Status.FAILED, Status.TERMINATED})
_HELD = frozenset({Status.SUSPENDED, Status.STALLED})
_REPLACES = {0: frozenset[Status](), 1: TERMINAL, 2: _FAILED, 3: frozenset[Status]()}
_IGNORE = 3
_COMMAND_NAMES: dict[type, str] = {
    ExecutionSuspended: "suspend",
    ExecutionResumed: "resume",
    ExecutionTerminated: "terminate",
}
# Entries of a shard looked through for one instance's; beyond it the answer is short, never slow.
_RELATED = 10_000


class Commands:
    """Starts, reads and controls instances."""

    def __init__(
        self,
        context: Context,
        store: Store,
        committer: Committer,
        *,
        owned: Owned,
        loading: Loading,
        purging: Purging,
    ) -> None:
        self._context = context
        self._store = store
        self._committer = committer
        self._owned = owned
        self._loading = loading
        self._purging = purging
        self._views = Views(context, store, owned)
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self.nudge_reminders: Callable[[], None]

    def _shard(self, instance_id: str) -> int:
        return shard_of(instance_id, self._context.settings.shards)

    async def _execute(self, operation: Operation, instance_id: str) -> Outcome:
        outcome = await self._committer.execute(operation)
        if isinstance(outcome, Rejected):
            # The first words tell clients that nothing happened, which the status code cannot.
            text = f"not executed: the store did not take the command for '{instance_id}' ({outcome.error}); try again"
            raise CommandRefused("unavailable", text)
        if isinstance(outcome, Unconfirmed):
            text = (
                f"the store did not answer whether it took the command for '{instance_id}' ({outcome.error}); "
                "repeat it with the same command id"
            )
            raise CommandRefused("unavailable", text)
        return outcome

    def _check_id(self, instance_id: str) -> None:
        refusal = refuse_instance_id(instance_id)
        if refusal is not None:
            raise CommandRefused("invalid", refusal)

    @staticmethod
    def _check_command(instance_id: str, command_id: str, requested_by: str = "") -> None:
        if (refusal := refuse_command(command_id, requested_by)) is not None:
            raise CommandRefused("invalid", f"{refusal} (command for '{instance_id}')")

    @staticmethod
    def _check_reason(instance_id: str, reason: str) -> None:
        size = len(reason.encode())
        if size > MAX_REASON_BYTES:
            text = f"the reason given for '{instance_id}' has {size:,} bytes, the limit is {MAX_REASON_BYTES:,}"
            raise CommandRefused("limit", text)

    def _check_payload(self, what: str, payload: bytes | None) -> None:
        limit = self._context.limits.payload_bytes
        if payload is not None:
            self._context.metrics.payload(len(payload), limit)
        if payload is not None and len(payload) > limit:
            raise CommandRefused(
                "limit",
                f"the {what} has {len(payload):,} bytes, the limit payload_bytes is {limit:,}; "
                "store it elsewhere and pass a reference",
            )

    # -- starting -------------------------------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> Started:
        """Create an instance. Raises CommandRefused: invalid, limit, already_exists, unavailable."""
        instance_id = request.instance_id or self._context.new_id()
        self._check_id(instance_id)
        if (refusal := refuse_name("workflow name", request.name)) is not None:
            raise CommandRefused("invalid", f"{refusal} (starting '{instance_id}')")
        refusal = refuse_start(
            start_at_ms=request.start_at_ms, version=request.version, trace_parent=request.trace_parent
        )
        if refusal is not None:
            raise CommandRefused("invalid", f"{refusal} (starting '{instance_id}')")
        self._check_command(instance_id, request.command_id)
        if request.reuse_policy not in _REPLACES:
            raise CommandRefused("invalid", f"unknown reuse policy {request.reuse_policy} (starting '{instance_id}')")
        self._check_payload(f"input of '{instance_id}'", request.input)
        span = self._context.tracing.begin(
            f"start {request.name}",
            trace_parent=request.trace_parent,
            attributes={"tenuto.instance": instance_id, "tenuto.workflow": request.name},
        )
        started = ExecutionStarted(
            request.name,
            instance_id,
            self._context.new_id(),
            request.input,
            request.version or self._context.settings.version,
            None,
            1,
            span.trace_parent,
            request.start_at_ms,
            request.foreign,
        )
        new = new_instance(
            started,
            start_id=request.command_id or self._context.new_id(),
            now_ms=self._context.clock.now_ms(),
            replace=_replaced(request),
        )
        outcome = await self._create(new)
        if isinstance(outcome, Created):
            self._context.tracing.end(span)
            return Started(instance_id, False, started.execution_id)
        if outcome.duplicate or request.reuse_policy == _IGNORE:
            return Started(instance_id, True, outcome.execution_id)
        raise CommandRefused(
            "already_exists",
            f"instance '{instance_id}' already exists and is {outcome.status.name}; "
            "use another id, or a reuse policy that replaces it",
        )

    async def _create(self, new: NewInstance) -> Created | Exists:
        number = self._shard(new.instance_id)
        outcome = await self._execute(Create(number, new), new.instance_id)
        if isinstance(outcome, Created):
            self._context.metrics.workflow_started(new.index.name)
            shard = self._owned.get(number)
            if shard is not None:
                if new.reminders:
                    shard.note_due(new.reminders[0].due_at_ms)
                    self.nudge_reminders()
                if new.history:
                    self._loading.reload(shard, new.instance_id)
                else:
                    self._loading.born(shard, new)
            return outcome
        assert isinstance(outcome, Exists)
        return outcome

    # -- messages -------------------------------------------------------------------------------------------------

    async def raise_event(self, command_id: str, instance_id: str, name: str, payload: bytes | None) -> bool:
        """Raise an external event; returns whether it was a repetition. Raises CommandRefused."""
        self._check_id(instance_id)
        if (refusal := refuse_name("event name", name)) is not None:
            raise CommandRefused("invalid", f"{refusal} (event for '{instance_id}')")
        self._check_command(instance_id, command_id)
        self._check_payload(f"event '{name}' for '{instance_id}'", payload)
        return await self._append(command_id, instance_id, EventRaised(name, payload), control=False)

    async def suspend(self, command_id: str, instance_id: str, reason: str, requested_by: str) -> bool:
        """Pause an instance after its current turn."""
        return await self._control(command_id, instance_id, ExecutionSuspended(reason), requested_by)

    async def resume(self, command_id: str, instance_id: str, reason: str, requested_by: str) -> bool:
        """Let a suspended or stalled instance go on."""
        return await self._control(command_id, instance_id, ExecutionResumed(reason), requested_by)

    async def terminate(
        self,
        command_id: str,
        instance_id: str,
        *,
        output: bytes | None,
        recursive: bool,
        reason: str,
        requested_by: str,
    ) -> bool:
        """End an instance now, with its open children where `recursive`."""
        self._check_payload(f"output of terminating '{instance_id}'", output)
        event = ExecutionTerminated(output, recursive, reason, requested_by)
        return await self._control(command_id, instance_id, event, requested_by)

    async def _control(self, command_id: str, instance_id: str, event: Event, requested_by: str) -> bool:
        self._check_id(instance_id)
        self._check_command(instance_id, command_id, requested_by)
        reason: str = getattr(event, "reason", "")
        self._check_reason(instance_id, reason)
        live = self._live(instance_id)
        subject = about(live) if live is not None else {"instance": instance_id, "shard": self._shard(instance_id)}
        duplicate = await self._append(command_id, instance_id, event, control=True)
        _log.info(
            _COMMAND_NAMES[type(event)],
            **subject,
            reason=reason,
            requested_by=requested_by,
            duplicate=duplicate,
        )
        return duplicate

    async def _append(self, command_id: str, instance_id: str, event: Event, *, control: bool) -> bool:
        number = self._shard(instance_id)
        message: Message = message_of(
            encode_event(event),
            message_id=command_id or self._context.new_id(),
            at_ms=self._context.clock.now_ms(),
            control=control,
            remember=bool(command_id),
        )
        outcome = await self._execute(Append(number, instance_id, message), instance_id)
        if isinstance(outcome, Refused):
            if outcome.reason == "not_found":
                raise CommandRefused(
                    "not_found", f"there is no instance '{instance_id}'; start it first, or check the id"
                )
            if control:
                text = f"instance '{instance_id}' has already ended; look at its state, or purge it or run it again"
                raise CommandRefused("precondition", text)
            # A terminal instance drops events, and counts them: whoever raised one cannot know better.
            self._context.metrics.count(self._context.metrics.messages_dropped, outcome.reason)
            return False
        assert isinstance(outcome, Appended)
        shard = self._owned.get(number)
        if shard is not None and outcome.number >= 0:
            self._loading.deliver_event(shard, instance_id, number=outcome.number, message=message, event=event)
        if control and outcome.number >= 0:
            await self._see_effect(instance_id, event)
        return outcome.duplicate

    async def _see_effect(self, instance_id: str, event: Event) -> None:
        """Let the next read show what was commanded. It is durable either way: a long turn is not waited out."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _EFFECT_SECONDS
        while (left := deadline - loop.time()) > 0:
            live = self._live(instance_id)
            if live is not None:
                if _is_in_effect(event, live.indexed):
                    return
                await self._progress(live, left)
            elif not await self._awaits(event, instance_id):
                return
            elif self._owned.get(self._shard(instance_id)) is not None:
                await asyncio.sleep(min(_LOADING_SECONDS, left))  # it is on its way into memory
            else:
                await self._progress_elsewhere(instance_id, min(_POLL_SECONDS, left))

    async def _awaits(self, event: Event, instance_id: str) -> bool:
        """Whether the owner has still to see a command. An unreadable store is not waited for."""
        try:
            stored = await self._store.read_instance(self._shard(instance_id), instance_id)
        except StoreUnavailable:
            return False
        return stored is not None and not _is_in_effect(event, stored.head.status)

    # -- reading --------------------------------------------------------------------------------------------------

    async def get(self, instance_id: str, *, payloads: bool) -> InstanceView | None:
        """Read an instance, or None. Raises CommandRefused: invalid, unavailable."""
        self._check_id(instance_id)
        return await self._read(self._views.read(instance_id, payloads=payloads))

    @staticmethod
    async def _read(work: Awaitable[_T]) -> _T:
        try:
            return await work
        except StoreUnavailable as error:
            raise CommandRefused("unavailable", f"the store cannot be read now ({error}); try again") from error

    async def wait(
        self, instance_id: str, *, for_start: bool, timeout_seconds: float, payloads: bool
    ) -> InstanceView | None:
        """Wait until an instance has started or ended, at most `timeout_seconds` (and 30); answers its state then."""
        self._check_id(instance_id)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(timeout_seconds, LONGEST_WAIT_SECONDS)
        while True:
            live = self._live(instance_id)
            if live is None or (for_start and live.indexed is not Status.PENDING):
                view = await self.get(instance_id, payloads=payloads)
                if view is None or view.status in TERMINAL or (for_start and view.status != Status.PENDING):
                    return view
                live = self._live(instance_id)
            left = deadline - loop.time()
            if left <= 0:
                return await self.get(instance_id, payloads=payloads)
            if live is None:
                await self._progress_elsewhere(instance_id, min(_POLL_SECONDS, left))
                continue
            await self._progress(live, left)
            if live.ending is not None and live.phase is Phase.DROPPED:
                return self._views.of_ended(live, payloads=payloads)

    def _live(self, instance_id: str) -> LiveInstance | None:
        shard = self._owned.get(self._shard(instance_id))
        return shard.live.get(instance_id) if shard is not None else None

    def told(self, news: News) -> None:
        """Another engine says that instances moved on which somebody here waits for."""
        for instance_id in news.progress:
            for waiter in self._waiting.pop(instance_id, ()):
                if not waiter.done():
                    waiter.set_result(None)

    async def _progress_elsewhere(self, instance_id: str, seconds: float) -> None:
        """Wait until the owner, another engine, says that the instance's status changed; at most `seconds`."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(instance_id, []).append(changed)
        topic = shard_topic(self._shard(instance_id))
        self._context.nudges.say(topic, watch=[(instance_id, self._context.engine_id)])
        try:
            async with asyncio.timeout(seconds):
                await changed
        except TimeoutError:
            pass
        finally:
            waiting = self._waiting.get(instance_id, [])
            if changed in waiting:
                waiting.remove(changed)
            if not waiting:
                self._waiting.pop(instance_id, None)

    @staticmethod
    async def _progress(live: LiveInstance, seconds: float) -> None:
        """Wait until the instance's status changes, or until it leaves memory."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        notify = lambda: None if changed.done() else changed.set_result(None)  # noqa: E731
        live.on_progress.append(notify)
        try:
            async with asyncio.timeout(seconds):
                await changed
        except TimeoutError:
            pass
        finally:
            if notify in live.on_progress:
                live.on_progress.remove(notify)

    async def list_page(self, request: ListRequest) -> tuple[list[InstanceView], str]:
        """A page of instances, newest first, and the next page's token. Raises CommandRefused: invalid, unavailable."""
        size = request.page_size or 100
        refusal = refuse_listing(
            page_size=size,
            statuses=request.statuses,
            created_from_ms=request.created_from_ms,
            created_to_ms=request.created_to_ms,
        )
        if refusal is not None:
            raise CommandRefused("invalid", refusal)
        wanted = InstanceFilter(
            name=request.name,
            statuses=frozenset(Status(s) for s in request.statuses),
            created_from_ms=request.created_from_ms,
            created_to_ms=request.created_to_ms,
            id_prefix=request.id_prefix,
            before=_parse_page_token(request.page_token),
            limit=size + 1,
        )
        shards = range(self._context.settings.shards)
        found = await self._read(asyncio.gather(*(self._store.list_instances(shard, wanted) for shard in shards)))
        merged = [(shard, listed) for shard, page in zip(shards, found, strict=True) for listed in page]
        merged.sort(key=lambda pair: (pair[1].created_at_ms, pair[1].instance_id), reverse=True)
        page = merged[:size]
        views = [await self._view(shard, listed, payloads=request.fetch_payloads) for shard, listed in page]
        last = page[-1][1] if len(merged) > size else None
        return views, "" if last is None else _page_token(last)

    async def _view(self, shard: int, listed: Listed, *, payloads: bool) -> InstanceView:
        return await self._read(self._views.of_stored(shard, listed.instance_id, listed.stored, payloads=payloads))

    async def history(self, instance_id: str) -> AsyncIterator[tuple[str, int, list[bytes]]]:
        """The history in pages: execution id, index of the first record, records. Raises CommandRefused."""
        self._check_id(instance_id)
        shard = self._shard(instance_id)
        stored = await self._read(self._store.read_instance(shard, instance_id))
        if stored is None:
            raise CommandRefused("not_found", f"there is no instance '{instance_id}'")
        first = 0
        try:
            async for page in self._loading.pages(shard, instance_id, stored.head.history_length):
                yield stored.head.execution_id, first, page
                first += len(page)
        except StoreUnavailable as error:
            raise CommandRefused("unavailable", f"the history cannot be read now ({error}); try again") from error
        if not first:
            yield stored.head.execution_id, 0, []

    async def raw_state(self, instance_id: str, *, limit: int) -> tuple[str, int, Stored, list[tuple[str, bytes]]]:
        """The instance as stored: the store's key, the shard, the head, and (name, value) pairs of all records."""
        self._check_id(instance_id)
        shard = self._shard(instance_id)
        stored = await self._read(self._store.read_instance(shard, instance_id))
        if stored is None:
            raise CommandRefused("not_found", f"there is no instance '{instance_id}'")
        records = await self._read(self._store.raw_records(shard, instance_id, limit=limit))
        return self._store.key_of(shard, instance_id), shard, stored, records

    async def related(self, instance_id: str) -> list[tuple[str, dict[str, object]]]:
        """What the shard keeps for an instance beside its record: reminders and open activity calls, for people."""
        shard, version = self._shard(instance_id), self._context.settings.version
        reminders = await self._read(self._store.read_reminders(shard, version, limit=_RELATED))
        calls = await self._read(self._store.read_activities(shard, version, due_ms=None, limit=_RELATED))
        found: list[tuple[str, dict[str, object]]] = [
            (f"reminder {key.kind} {key.event_id}", {"kind": key.kind, "event_id": key.event_id, "due_at_ms": due_ms})
            for key, due_ms in reminders
            if key.instance_id == instance_id
        ]
        for record in calls:
            if record.key.instance_id == instance_id:
                body = decode_activity(record.data)
                what: dict[str, object] = {
                    "event_id": record.key.event_id,
                    "name": body.name,
                    "attempt": record.attempt,
                    "deliveries": body.deliveries,
                    "claimed_by": body.claim,
                    "last_failure": body.last_failure,
                    "due_at_ms": body.due_at_ms,
                    "given_back": body.given_back,
                    "heartbeat_at_ms": body.heartbeat_at_ms,
                }
                found.append((f"activity {record.key.event_id}", what))
        return found

    # -- purge and rerun ------------------------------------------------------------------------------------------

    async def purge(
        self, instance_id: str, *, recursive: bool, force: bool, requested_by: str, reason: str = ""
    ) -> int:
        """Remove an instance; see `Purging.purge`."""
        self._check_id(instance_id)
        self._check_command(instance_id, "", requested_by)
        self._check_reason(instance_id, reason)
        return await self._read(
            self._purging.purge(instance_id, recursive=recursive, force=force, requested_by=requested_by, reason=reason)
        )

    async def rerun(self, request: RerunRequest) -> Started:
        """Begin a new instance from a finished one's history, before the result of one operation.

        Raises CommandRefused: not_found; precondition where it still runs; invalid where the operation is not in its
        history; already_exists.
        """
        new_id = request.new_instance_id or self._context.new_id()
        for checked in (request.instance_id, new_id):
            self._check_id(checked)
        self._check_command(request.instance_id, request.command_id, request.requested_by)
        self._check_reason(request.instance_id, request.reason)
        self._check_payload(f"input for operation {request.event_id}", request.input)
        history: list[Event] = []
        view = await self.get(request.instance_id, payloads=False)
        if view is None:
            raise CommandRefused("not_found", f"there is no instance '{request.instance_id}'; nothing was rerun")
        if view.status not in TERMINAL:
            text = (
                f"instance '{request.instance_id}' is {Status(view.status).name}; "
                "only a finished one can be rerun: terminate it, or wait"
            )
            raise CommandRefused("precondition", text)
        async for _, _, page in self.history(request.instance_id):
            history.extend(map(decode_event, page))
        new = rerun_instance(request, new_id, history, self._context)
        outcome = await self._create(new)
        if isinstance(outcome, Exists) and not outcome.duplicate:
            raise CommandRefused(
                "already_exists", f"instance '{new_id}' already exists and is {outcome.status.name}; use another id"
            )
        _log.info(
            "rerun",
            instance=request.instance_id,
            execution=view.execution_id,
            shard=view.shard,
            new_instance=new_id,
            event_id=request.event_id,
            reason=request.reason,
            requested_by=request.requested_by,
            duplicate=isinstance(outcome, Exists),
        )
        return Started(new_id, isinstance(outcome, Exists), new.head.execution_id)

    async def rewind(self, command_id: str, instance_id: str, reason: str, requested_by: str) -> None:
        """Run a failed instance again from what failed; what succeeded keeps its results.

        Raises CommandRefused: not_found; precondition where it has not failed.
        """
        self._check_id(instance_id)
        self._check_reason(instance_id, reason)
        view = await self.get(instance_id, payloads=False)
        if view is None:
            raise CommandRefused("not_found", f"there is no instance '{instance_id}'; nothing was rewound")
        history = [decode_event(raw) async for _, _, page in self.history(instance_id) for raw in page]
        if view.status == Status.FAILED:
            new = rewound_instance(
                instance_id, history, self._context, command_id=command_id, requested_by=requested_by
            )
            outcome = await self._create(new)
            if isinstance(outcome, Created) or outcome.duplicate:
                _log.info("rewind", instance=instance_id, reason=reason, requested_by=requested_by)
                return
            view = await self.get(instance_id, payloads=False) or view
        status = Status(view.status).name
        text = f"instance '{instance_id}' is {status}; only a failed one can be rewound, any finished one can be rerun"
        raise CommandRefused("precondition", text)


def _replaced(request: StartRequest) -> frozenset[Status]:
    if request.replaces is None:
        return _REPLACES[request.reuse_policy]
    return TERMINAL & {Status(number) for number in request.replaces}


def _is_in_effect(event: Event, status: Status) -> bool:
    if isinstance(event, ExecutionSuspended):
        return status is Status.SUSPENDED
    if isinstance(event, ExecutionResumed):
        return status not in _HELD
    return status in TERMINAL


def _page_token(listed: Listed) -> str:
    return base64.urlsafe_b64encode(f"{listed.created_at_ms}:{listed.instance_id}".encode()).decode()


def _parse_page_token(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    try:
        created, _, instance_id = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        moment = int(created)
        if not 0 <= moment <= LATEST_MS:
            raise ValueError(created)
        return moment, instance_id
    except (ValueError, binascii.Error) as error:
        raise CommandRefused(
            "invalid", "the page token was not made by this API; pass next_page_token unchanged"
        ) from error
