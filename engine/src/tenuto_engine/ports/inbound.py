"""What the edge hands to the runtime and takes from it: the worker stream as plain data.

The structs mirror `tenuto.v1` without its classes, so that the runtime never imports the wire, and a second dialect can
sit on the same port.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import msgspec


class Hello(msgspec.Struct, frozen=True):
    """A worker introduces itself. `running`: tokens of activities it still runs or has not been acknowledged for.

    `takes_any`: it does not say what it has registered, and answers for whatever name it is given. Names in
    `workflows` and `activities` are then those it said it has, if any. `frees_stalled`: what stalled for want of a
    fitting worker (UNSUITABLE, GIVEN_BACK) is tried again as it connects.
    """

    worker_id: str
    sdk: str = ""
    code_hash: str = ""
    workflows: Sequence[str] = ()
    activities: Sequence[str] = ()
    max_turns: int = 0
    max_activities: int = 0
    max_sticky: int = 0
    running: Sequence[str] = ()
    takes_any: bool = False
    frees_stalled: bool = False


class TurnItem(msgspec.Struct):
    """A turn to run; see `tenuto.v1.TurnItem`."""

    instance_id: str
    execution_id: str
    base_commit_id: str
    commit_id: str
    history_length: int
    full_history: bool
    new_events: list[bytes]
    history: list[bytes] = []
    more: bool = False


class ActivityItem(msgspec.Struct):
    """An activity to run; see `tenuto.v1.ActivityItem`."""

    token: str
    instance_id: str
    execution_id: str
    event_id: int
    name: str
    input: bytes | None
    attempt: int
    deliveries: int
    start_to_close_ms: int
    heartbeat_ms: int
    workflow_name: str
    trace_parent: str = ""
    heartbeat_details: bytes | None = None
    foreign: bytes | None = None


class ActivityBeat(msgspec.Struct):
    """A running activity is alive. `details`: what the next attempt is told, None leaves it as it was."""

    token: str
    details: bytes | None = None


class TurnOutcome(IntEnum):
    """The numbers are those of `tenuto.v1.TurnResult.Outcome`, and two that only other dialects' workers say.

    UNSUITABLE: this worker's code does not fit the instance, another one's may; without one the instance stalls.
    GIVEN_BACK: the worker does not want the turn, another one may; without one it is tried again, later and later.
    """

    COMPLETED = 0
    NEED_HISTORY = 1
    NOT_REGISTERED = 2
    FAILED = 3
    NON_DETERMINISTIC = 4
    GUARD_REFUSED = 5
    UNSUITABLE = 101
    GIVEN_BACK = 102


class TurnAnswer(msgspec.Struct):
    """What a worker says of a turn. `actions`, `failure`: encoded; `custom_status` None leaves it unchanged."""

    instance_id: str
    execution_id: str
    commit_id: str
    outcome: int
    actions: bytes = b""
    custom_status: bytes | None = None
    patches: Sequence[str] = ()
    failure: bytes = b""
    code_hash: str = ""


class ActivityAnswer(msgspec.Struct):
    """What a worker says of an activity. `failure` empty means success; `rejected`: it was not run at all."""

    token: str
    result: bytes | None = None
    failure: bytes = b""
    rejected: bool = False


class Outgoing(msgspec.Struct):
    """Everything queued for one worker; the edge writes it as one message.

    `cancelled`: (token, reason) of activities that nobody waits for any more.
    """

    turns: list[TurnItem] = []
    activities: list[ActivityItem] = []
    acknowledged: list[str] = []
    forget: list[tuple[str, str]] = []
    cancelled: list[tuple[str, str]] = []
    draining: bool = False


class InstanceView(msgspec.Struct, frozen=True):
    """An instance as clients see it; see `tenuto.v1.Instance`. Payloads are None where they were not asked for.

    `foreign` is what the client that started it said in its own dialect; read with the payloads.
    """

    instance_id: str
    execution_id: str
    name: str
    version: str
    status: int
    status_reason: str
    created_at_ms: int
    updated_at_ms: int
    completed_at_ms: int
    history_length: int
    history_bytes: int
    generation: int
    parent_instance_id: str
    shard: int
    rerun_of: str
    input: bytes | None = None
    output: bytes | None = None
    failure: bytes = b""
    custom_status: bytes | None = None
    foreign: bytes | None = None


class StartRequest(msgspec.Struct, frozen=True):
    """A start; see `tenuto.v1.StartInstanceRequest`. `reuse_policy` has its numbers; the engine makes empty ids.

    `foreign`: see `core.events`. `replaces`: the terminal statuses whose instance is replaced, in place of a policy.
    """

    command_id: str
    name: str
    instance_id: str = ""
    input: bytes | None = None
    start_at_ms: int = 0
    reuse_policy: int = 0
    version: str = ""
    trace_parent: str = ""
    foreign: bytes | None = None
    replaces: frozenset[int] | None = None


class Started(msgspec.Struct, frozen=True):
    instance_id: str
    existed: bool
    execution_id: str


class ListRequest(msgspec.Struct, frozen=True):
    """A page of instances, newest first; see `tenuto.v1.ListInstancesRequest`."""

    name: str = ""
    statuses: frozenset[int] = frozenset()
    created_from_ms: int = 0
    created_to_ms: int = 0
    page_size: int = 100
    page_token: str = ""
    fetch_payloads: bool = False
    id_prefix: str = ""


class RerunRequest(msgspec.Struct, frozen=True):
    """Run a terminal instance again from one operation; see `tenuto.v1.RerunRequest`."""

    command_id: str
    instance_id: str
    event_id: int
    new_instance_id: str = ""
    input: bytes | None = None
    override_input: bool = False
    requested_by: str = ""
    reason: str = ""
