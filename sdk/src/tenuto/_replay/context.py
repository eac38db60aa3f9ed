"""The context's deterministic part: what workflow code may ask for. `_worker` adds ids, randomness and a logger.

Methods here are called by user code directly: `caller_source` counts the frames between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, overload

from tenuto._replay import actions
from tenuto._replay.children import ChildCall, ChildTask
from tenuto._replay.definitions import NO_OPTIONS, CallInfo, make_options, target_info
from tenuto._replay.operations import Operations, PayloadTask, caller_source
from tenuto._replay.patches import Patches
from tenuto._replay.policy import RetryPolicy, to_milliseconds
from tenuto._replay.tasks import CancellableTask, Task

R = TypeVar("R")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class ReplayContext:
    """Base of the context that workflow functions receive."""

    def __init__(self, operations: Operations, patches: Patches) -> None:
        self._operations = operations
        self._patches = patches

    @property
    def instance_id(self) -> str:
        """The instance's id, as its starter chose it or the engine made it."""
        return self._operations.info.instance_id

    @property
    def execution_id(self) -> str:
        """The id of this life of the instance; continue-as-new begins another one."""
        return self._operations.info.execution_id

    @property
    def workflow_name(self) -> str:
        """The name that the workflow is registered under."""
        return self._operations.info.name

    @property
    def version(self) -> str:
        """The version this execution began on; empty where the application is not versioned."""
        return self._operations.info.version

    @property
    def parent_instance_id(self) -> str | None:
        """The instance that started this one as its child; None for a root."""
        return self._operations.info.parent_id

    @property
    def is_replaying(self) -> bool:
        """True while the code repeats what history records, False where it does something for the first time."""
        return self._operations.is_replaying

    @property
    def current_utc_datetime(self) -> datetime:
        """The time of the current turn: aware, UTC, the same in every replay, never going back."""
        return _EPOCH + timedelta(milliseconds=self._operations.now_ms)

    @overload
    def call_activity(
        self,
        activity: Callable[..., Awaitable[R]],
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        start_to_close_timeout: timedelta | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        result_type: None = None,
        app_id: None = None,
    ) -> Task[R]: ...
    @overload
    def call_activity(
        self,
        activity: Callable[..., R],
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        start_to_close_timeout: timedelta | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        result_type: None = None,
        app_id: None = None,
    ) -> Task[R]: ...
    @overload
    def call_activity(
        self,
        activity: str | Callable[..., Any],
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        start_to_close_timeout: timedelta | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        result_type: type[R],
        app_id: None = None,
    ) -> Task[R]: ...
    @overload
    def call_activity(
        self,
        activity: str,
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        start_to_close_timeout: timedelta | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        result_type: None = None,
        app_id: None = None,
    ) -> Task[Any]: ...
    def call_activity(
        self,
        activity: str | Callable[..., Any],
        *,
        input: Any = None,  # noqa: A002  # the name that users know from Dapr's SDK
        retry_policy: RetryPolicy | None = None,
        start_to_close_timeout: timedelta | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
        result_type: Any = None,
        app_id: str | None = None,
    ) -> Task[Any]:
        """Asks for an activity; it runs at least once, and its result is recorded once.

        Args:
            activity: the function, or the name it is registered under. With a function, the task's result has the type
                of the function's annotation.
            input: its one input; None for none.
            retry_policy: when to try again after a failure or timeout. None: the policy given where the activity was
                registered, else a single attempt.
            start_to_close_timeout: longest duration of one attempt. None: as registered, else no limit.
            schedule_to_close_timeout: longest duration of the whole call, all attempts and waits included. None: as
                registered, else no limit.
            heartbeat_timeout: longest silence of an attempt. None: as registered, else no limit.
            result_type: what to decode the result as, for an activity called by name. None: the annotation.
            app_id: always None; an application calls only its own activities.

        Raises:
            PayloadError: the input cannot be encoded.
        """
        if app_id is not None:
            raise _other_app(f"activity {activity!r}", app_id)
        operations = self._operations
        watch = operations.watch
        if watch is not None:
            # NB: for speed alone, and only here: this is the hot path, and the watch would see each call it makes.
            watch.pause()
        try:
            info = target_info("activity", activity)
            options = info.options
            if options is NO_OPTIONS and isinstance(activity, str) and info.name in operations.activities:
                options = operations.activities[info.name].options
            if retry_policy or start_to_close_timeout or schedule_to_close_timeout or heartbeat_timeout:
                options = make_options(
                    retry_policy=retry_policy,
                    start_to_close_timeout=start_to_close_timeout,
                    schedule_to_close_timeout=schedule_to_close_timeout,
                    heartbeat_timeout=heartbeat_timeout,
                    default=options,
                )
            payload = operations.payloads.dump(input, what=info.input_text)
            event_id = operations.next_id()
            task = PayloadTask(info.result_type if result_type is None else result_type, info.result_text)
            action = actions.ScheduleActivity(
                event_id,
                info.name,
                payload,
                options.retry,
                options.start_to_close_ms,
                options.schedule_to_close_ms,
                options.heartbeat_ms,
                caller_source(2),
            )
            operations.request(action, task)
            return task
        finally:
            if watch is not None:
                watch.resume()

    def create_timer(self, fire_at: timedelta | datetime) -> CancellableTask[None]:
        """Asks for a durable timer; it may be days or years long and survives every crash.

        Args:
            fire_at: how long to wait from now (`current_utc_datetime`), or the moment; a naive moment is taken as UTC,
                one that has passed fires at once.
        """
        return self._operations.create_timer(self._due_ms(fire_at), caller_source(2))

    def wait_for_external_event(
        self,
        name: str,
        *,
        timeout: timedelta | datetime | None = None,
        data_type: Any = Any,
    ) -> CancellableTask[Any]:
        """Waits for an event that a client or another workflow raises at this instance.

        Events are matched by name without case. One that nobody waits for is kept, in order, for the next wait.

        Args:
            name: the event's name.
            timeout: how long to wait, or until when. None: for ever. The timer of a wait that got its event is
                cancelled.
            data_type: what to decode the event's data as. Any: plain JSON values.

        Raises:
            TimeoutError: at the `yield` or `await`, where no event came in time.
        """
        operations = self._operations
        if not name:
            raise ValueError("the event's name is empty")
        task = operations.wait_for(name, data_type)
        if timeout is None or task.is_complete:
            return task
        text = (
            f"no event '{name}' came within {timeout}"
            if isinstance(timeout, timedelta)
            else (f"no event '{name}' came until {timeout}")
        )
        timer = operations.create_timer(self._due_ms(timeout), caller_source(2))
        task.timer = timer

        def expire(fired: Task[Any]) -> None:
            if not fired.is_failed:
                operations.give_up(name.casefold(), task)
                task.fail(TimeoutError(f"{text} (instance '{operations.info.instance_id}')"))

        timer.watch(expire)
        return task

    @overload
    def call_child_workflow(
        self,
        workflow: Callable[..., Generator[Any, Any, R]],
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        version: str | None = None,
        result_type: None = None,
        app_id: None = None,
    ) -> Task[R]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: Callable[..., Awaitable[R]],
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        version: str | None = None,
        result_type: None = None,
        app_id: None = None,
    ) -> Task[R]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: Callable[..., R],
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        version: str | None = None,
        result_type: None = None,
        app_id: None = None,
    ) -> Task[R]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: str | Callable[..., Any],
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        version: str | None = None,
        result_type: type[R],
        app_id: None = None,
    ) -> Task[R]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        version: str | None = None,
        result_type: None = None,
        app_id: None = None,
    ) -> Task[Any]: ...
    def call_child_workflow(
        self,
        workflow: str | Callable[..., Any],
        *,
        input: Any = None,  # noqa: A002  # the name that users know from Dapr's SDK
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        version: str | None = None,
        result_type: Any = None,
        app_id: str | None = None,
    ) -> Task[Any]:
        """Starts another workflow and waits for its result.

        Args:
            workflow: the function, or the name it is registered under.
            input: its input; None for none.
            instance_id: the child's id. None: one made from this instance's id, this execution and a number.
            retry_policy: when to start another one after a failure, under a fresh id. None: never.
            version: the version it runs on. None: this workflow's.
            result_type: what to decode the result as, for a workflow called by name. None: the annotation.
            app_id: always None; an application calls only its own workflows.

        Raises:
            PayloadError: the input cannot be encoded.
        """
        if app_id is not None:
            raise _other_app(f"workflow {workflow!r}", app_id)
        operations = self._operations
        info: CallInfo = target_info("child workflow", workflow)
        call = ChildCall(
            name=info.name,
            instance_id=instance_id or "",
            input=operations.payloads.dump(input, what=info.input_text),
            version=version or "",
            retry=None if retry_policy is None else retry_policy.wire,
            source=caller_source(2),
        )
        task = ChildTask(operations, call, info.result_type if result_type is None else result_type)
        task.start()
        return task

    def raise_event(self, instance_id: str, name: str, *, data: Any = None) -> None:
        """Raises an external event at another instance. It is delivered once; a missing instance loses it silently.

        Args:
            instance_id: the receiver.
            name: the event's name.
            data: what the receiver's wait gives; None for nothing.

        Raises:
            PayloadError: the data cannot be encoded.
        """
        if not instance_id or not name:
            raise ValueError("raise_event needs the receiver's instance id and the event's name")
        operations = self._operations
        payload = operations.payloads.dump(data, what=f"data of event '{name}'")
        event_id = operations.next_id()
        operations.request(actions.SendEvent(event_id, instance_id, name, payload, caller_source(2)), None)

    def continue_as_new(self, new_input: Any, *, save_events: bool = False) -> None:
        """Ends this execution once the function returns, and begins another one with an empty history.

        Return right after it: the function's result is dropped. Operations still open are given up.

        Args:
            new_input: input of the next execution; None for none.
            save_events: whether it receives the events that this execution did not wait for. NB: by default they are
                dropped, as in Dapr's SDK.

        Raises:
            PayloadError: the input cannot be encoded.
        """
        operations = self._operations
        payload = operations.payloads.dump(new_input, what="input of the next execution")
        operations.next_input = actions.ContinueAsNew(0, payload, save_events)

    def set_custom_status(self, custom_status: Any) -> None:
        """Shows a value of your choice, at most 64 KiB of JSON, in the instance's state.

        Raises:
            PayloadError: it cannot be encoded.
        """
        operations = self._operations
        payload = operations.payloads.dump(custom_status, what="custom status")
        if payload is None:
            payload = operations.payloads.seal(b"null")
        operations.show(payload)

    def is_patched(self, patch_name: str) -> bool:
        """Says whether to take the new branch of changed code: True in executions that reach it for the first time.

        An execution that passed here before the change keeps getting False, for all its life; the answer is recorded.

        Args:
            patch_name: names the change, for ever; up to 512 bytes.
        """
        return self._patches.is_taken(patch_name, is_replaying=self._operations.is_replaying)

    def _due_ms(self, moment: timedelta | datetime) -> int:
        if isinstance(moment, datetime):
            aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return max(0, -(-(aware - _EPOCH) // _MILLISECOND))
        return self._operations.now_ms + to_milliseconds(moment, what="the timer")


def _other_app(what: str, app_id: str) -> ValueError:
    return ValueError(
        f"{what} was called with app_id={app_id!r}, but an application calls only its own functions; "
        "leave app_id out, or call the other application from an activity"
    )
