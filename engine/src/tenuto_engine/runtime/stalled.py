"""Instances that stalled because no connected worker had the right code: tried again when a worker connects."""

from __future__ import annotations

import asyncio

from tenuto_engine.core.status import Status
from tenuto_engine.ports.errors import CommandRefused
from tenuto_engine.ports.inbound import InstanceView, ListRequest
from tenuto_engine.ports.serving import Management
from tenuto_engine.runtime.tasks import TaskOwner

# In the reason of every such stall: it says what will happen, and the stall is known again by it.
TRIED_AGAIN = "it is tried again when a worker connects"
_PAGE = 500
_AT_ONCE = 32
_REQUESTED_BY = "a worker that connected"


class Stalled:
    """Lets them go on. They need not be in memory, nor this engine's: the list of the store has them all."""

    def __init__(self, commands: Management, tasks: TaskOwner) -> None:
        self._commands = commands
        self._tasks = tasks
        self._is_looking = False
        self._again = False

    def worker_connected(self) -> None:
        """Resume what stalled for want of a worker. Workers that come together cost one look, or two."""
        self._again = True
        if not self._is_looking:
            self._is_looking = True
            self._tasks.start(self._look(), name="stalled")

    async def _look(self) -> None:
        try:
            while self._again:
                self._again = False
                await self._resume_all()
        except CommandRefused:
            return  # the store cannot be read now: the next worker that connects asks again
        finally:
            self._is_looking = False

    async def _resume_all(self) -> None:
        slots, token = asyncio.Semaphore(_AT_ONCE), ""
        while True:
            page = ListRequest(statuses=frozenset({Status.STALLED}), page_size=_PAGE, page_token=token)
            views, token = await self._commands.list_page(page)
            waiting = [view for view in views if TRIED_AGAIN in view.status_reason]
            await asyncio.gather(*(self._resume(view, slots) for view in waiting))
            if not token:
                return

    async def _resume(self, view: InstanceView, slots: asyncio.Semaphore) -> None:
        async with slots:
            try:
                await self._commands.resume("", view.instance_id, "a worker has connected", _REQUESTED_BY)
            except CommandRefused:
                return  # ended or purged meanwhile, or the store does not answer
