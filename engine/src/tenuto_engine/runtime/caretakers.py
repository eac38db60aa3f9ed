"""Looking after instances whose version has no engine any more.

What needs no user code goes on: timers and events arrive, instances can be terminated, suspended and purged,
retention and the outbox are worked off. A caretaker is a whole engine of that version without workers, inside this
process and on its store: the shard map gives it shards only while no engine of the version has a worker, and it goes
when one has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import LeaseStore
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.engine import Engine

_log = structlog.get_logger(__name__)

# Looking counts what is stored; a version without engines can wait so long.
_PAUSE_SECONDS = 10.0


class Caretakers:
    """The caretakers of one process, by version.

    Args:
        engine: the engine beside which they live.
        make_leases: makes a lease store with a connection of its own.
    """

    def __init__(self, engine: Engine, store: Store, make_leases: Callable[[], LeaseStore]) -> None:
        self._engine = engine
        self._store = store
        self._make_leases = make_leases
        self._by_version: dict[str, Engine] = {}

    async def run(self) -> None:
        """Look again and again which versions need one; ends all when cancelled."""
        try:
            while True:
                await asyncio.sleep(max(self._engine.context.settings.lease_seconds, _PAUSE_SECONDS))
                try:
                    await self.look()
                except StoreUnavailable as error:
                    _log.warning("caretakers wait for the store", error=str(error))
                except Exception:  # what one version meets must not end the care for all others
                    _log.exception("versions without engines could not be looked after")
        finally:
            ends = await asyncio.gather(*map(self._end, list(self._by_version)), return_exceptions=True)
            for failed in filter(None, ends):
                _log.error("a caretaker could not be ended; its leases run out", exc_info=failed)

    async def look(self) -> None:
        """Begin for versions that nobody serves, end for those that somebody serves again or that have no work left."""
        context = self._engine.context
        shards = range(context.settings.shards)
        for version, caretaker in list(self._by_version.items()):
            is_relieved = context.membership.is_served(version) and not caretaker.owned.shards
            if is_relieved or not await self._has_work(version, shards):
                await self._end(version)
        if self._engine.owned.draining:
            return
        for version in await self._store.read_versions(shards):
            is_own = version == context.settings.version or version in self._by_version
            if not is_own and not context.membership.others(version) and await self._has_work(version, shards):
                await self._begin(version)

    async def _has_work(self, version: str, shards: Sequence[int]) -> bool:
        """Whether anything of a version may still happen; finished instances wait for their retention."""
        stock = await self._store.count_stock(shards, version, due_ms=0)
        return any(each.open or each.ready or each.reminders for each in stock.values())

    async def _begin(self, version: str) -> None:
        context = self._engine.context
        settings = msgspec.structs.replace(context.settings, version=version)
        beside = Context(
            settings,
            context.limits,
            metrics=context.metrics.beside(version),
            faults=context.faults,
            tracing=context.tracing,
        )
        caretaker = Engine(beside, self._store, self._make_leases())
        caretaker.start_beside(self._engine.info)
        self._by_version[version] = caretaker
        _log.info("taking care of a version without engines", version=version)

    async def _end(self, version: str) -> None:
        caretaker = self._by_version[version]
        await caretaker.drain()
        await caretaker.stop_beside()
        del self._by_version[version]  # not before: whoever is cancelled here leaves it to `run`
        _log.info("no longer taking care of a version", version=version)
