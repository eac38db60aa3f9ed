"""What can go wrong at a port.

EngineError
├── StoreUnavailable      cannot be reached or does not answer: retry
├── UnreadableRecord      an audit found bytes that no release of this driver wrote
├── StoreRefused          will not work like this: permanent until an operator acts
│   ├── LayoutTooNew      written by a newer release
│   ├── ShardsDiffer      the store was made with another shard count
│   └── DurabilityRefused the store does not deliver the declared tier
└── CommandRefused        the caller's request cannot be accepted (see `kind`)
"""

from __future__ import annotations


class EngineError(Exception):
    """Root of the engine's errors."""


class StoreUnavailable(EngineError):
    """The store cannot be reached or does not answer in time. Nothing is known about writes in flight; retry."""


class UnreadableRecord(EngineError):
    """What stands under an instance's key cannot be read: reading again is useless."""


class StoreRefused(EngineError):
    """The store works, but not for this engine as configured. Retrying without a change is useless."""


class LayoutTooNew(StoreRefused):
    """The layout record was written by a newer release than this one."""


class ShardsDiffer(StoreRefused):
    """The store was first used with another number of shards."""


class DurabilityRefused(StoreRefused):
    """The store does not deliver the durability tier asked for; the message names the setting to change."""


class CommandRefused(EngineError):
    """A request that cannot be accepted.

    `kind` is one of invalid, not_found, already_exists, precondition, limit, unavailable; the edge maps it to a
    status code. The message says what happened, to which id, and what to do next.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
