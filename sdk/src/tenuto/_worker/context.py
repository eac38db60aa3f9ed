"""The context that workflow functions receive: replay's, with ids, randomness and a logger."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from tenuto._replay.context import ReplayContext
from tenuto._replay.operations import Operations
from tenuto._replay.patches import Patches

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter

_NAMESPACE = UUID("6f0c5f0e-5bd5-5f7e-9d6a-2f1f3f9b7c11")  # Fixed for ever: ids must not change with a release.


class WorkflowRandom(Random):
    """A seeded generator that belongs to one execution: the guard lets its numbers pass."""


class WorkflowLogger(_Adapter):
    """A logger that is silent while the workflow replays, so that each line appears once."""

    def __init__(self, logger: logging.Logger, operations: Operations) -> None:
        super().__init__(logger, {"instance_id": operations.info.instance_id})
        self._operations = operations

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # the name that logging calls
        """Whether a line of that level is written now."""
        return not self._operations.is_replaying and not self._operations.is_closed and self.logger.isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Adds the instance's id to the record, beside what the caller adds."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class WorkflowContext(ReplayContext):
    """What a workflow function receives: its identity, its clock, and everything it may ask for.

    All that a workflow takes from outside must come through it, or through the results of activities: the code runs
    again from its start whenever it is replayed, and must then do the same.
    """

    def __init__(self, operations: Operations, patches: Patches) -> None:
        super().__init__(operations, patches)
        self._random: Random | None = None
        self._logger: WorkflowLogger | None = None
        self._uuids = 0

    def new_uuid(self) -> UUID:
        """A fresh UUID (version 5): unlike any other, and the same in every replay."""
        self._uuids += 1
        return uuid5(_NAMESPACE, f"{self._operations.info.seed_id}/{self._uuids}")

    def random(self) -> Random:
        """The execution's own generator of random numbers; it gives the same numbers in every replay."""
        if self._random is None:
            self._random = WorkflowRandom(self._operations.info.seed_id)
        return self._random

    @property
    def logger(self) -> WorkflowLogger:
        """Logs under `tenuto.workflow`, silent while replaying; records carry `instance_id`."""
        if self._logger is None:
            self._logger = WorkflowLogger(logging.getLogger("tenuto.workflow"), self._operations)
        return self._logger
