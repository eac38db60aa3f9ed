"""Counts what is read from the store: a proxy that any store fits behind.

By name, so that a read added to the port is counted without a line here: whatever begins like a read is one.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.metrics.families import Metrics

_READS = ("read_", "count_", "list_", "raw_")


class _Measured:
    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name.startswith(_READS):
            found = self._counted(name.removeprefix("read_"), found)
        setattr(self, name, found)  # looked up once
        return found

    def _counted(self, op: str, read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        ok, failed = self._metrics.reads[op, "ok"], self._metrics.reads[op, "error"]
        observe, clock = self._metrics.read_seconds[op].observe, time.perf_counter

        async def counted(*args: Any, **kwargs: Any) -> Any:
            began = clock()
            try:
                answer = await read(*args, **kwargs)
            except StoreUnavailable:
                failed.inc()
                raise
            observe(clock() - began)
            ok.inc()
            return answer

        return counted


def measured(store: Store, metrics: Metrics) -> Store:
    """The same store, whose reads are counted by name and result."""
    return cast(Store, _Measured(store, metrics))
