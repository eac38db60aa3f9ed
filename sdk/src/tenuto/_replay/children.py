"""Child workflows: their default ids, and their retries, which the parent's own code makes with durable timers."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from tenuto._replay import actions, events
from tenuto._replay.operations import ExecutionInfo, Operations, PayloadTask
from tenuto._replay.policy import RetryQuestion, next_delay_ms

# Leaves room for many levels below the limit of 1,024 bytes for an instance id.
_LONGEST_PREFIX = 200


class ChildCall(msgspec.Struct, frozen=True):
    """What to start: `instance_id` is empty where the user left it to us."""

    name: str
    instance_id: str
    input: bytes | None
    version: str
    retry: events.RetryPolicy | None
    source: str


class ChildTask(PayloadTask):
    """Waits for a child workflow; after a failure, as its policy says, for another one under a fresh id."""

    __slots__ = ("_asked_at_ms", "_attempt", "_call", "_first_id", "_operations")

    def __init__(self, operations: Operations, call: ChildCall, annotation: Any) -> None:
        super().__init__(annotation, f"result of child workflow '{call.name}'")
        self._operations = operations
        self._call = call
        self._attempt = 0
        self._asked_at_ms = operations.now_ms
        self._first_id = 0

    def start(self) -> None:
        """Asks for the next attempt."""
        operations, call = self._operations, self._call
        event_id = operations.next_id()
        self._attempt += 1
        self._first_id = self._first_id or event_id
        instance_id = call.instance_id or default_child_id(operations.info, event_id)
        if call.instance_id and self._attempt > 1:
            instance_id = f"{call.instance_id}:{self._attempt}"
        action = actions.StartChild(event_id, call.name, instance_id, call.input, call.version, call.source)
        operations.request(action, self)

    def settle_failed(self, failure: events.Failure, error: BaseException) -> None:
        """Waits for another attempt, or fails where the policy allows none."""
        operations, policy = self._operations, self._call.retry
        if policy is None:
            self.fail(error)
            return
        question = RetryQuestion(
            attempt=self._attempt,
            elapsed_ms=operations.now_ms - self._asked_at_ms,
            failure=failure,
            identity=f"{operations.info.seed_id}/{self._first_id}",
        )
        delay = next_delay_ms(policy, question)
        if delay is None:
            self.fail(error)
            return
        timer = operations.create_timer(operations.now_ms + delay, self._call.source)
        timer.watch(lambda _: self.start())


def default_child_id(info: ExecutionInfo, event_id: int) -> str:
    """`<parent>:<start of the parent's execution id>:<operation number>`.

    The execution is part of it because the numbers begin again after continue-as-new; very long parents' ids are cut
    and told apart by a hash, so that trees may be deep.
    """
    prefix = info.instance_id
    if len(prefix) > _LONGEST_PREFIX:
        digest = blake2b(prefix.encode(), digest_size=8).hexdigest()
        prefix = f"{prefix[: _LONGEST_PREFIX // 2]}~{digest}"
    return f"{prefix}:{info.execution_id[:8]}:{event_id:04x}"
