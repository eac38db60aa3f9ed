"""Clients of an environment's engine, for code under test that takes a client.

They are those of every application but for the connection: there is none, and a wait lets virtual time pass.
"""

from __future__ import annotations

from typing import TypeVar

from tenuto import aio, client
from tenuto._wire.calls import Call
from tenuto._wire.instances import WorkflowState
from tenuto.testing._driving import BlockingDriver, LoopDriver

R = TypeVar("R")


class EnvironmentClient(client.WorkflowClient):
    """A blocking client of one environment. It makes no connection, so the base is not initialized."""

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver
        self._requests = driver.control.requests

    def close(self) -> None:
        """Nothing is held: the environment goes on."""

    def _send(self, call: Call[R]) -> R:
        return self._driver.do(self._driver.control.ask(call))

    def _wait(self, instance_id: str, for_start: bool, fetch_payloads: bool, timeout_s: float) -> WorkflowState:
        return self._driver.do(self._driver.control.run_to_end(instance_id, for_start=for_start, timeout_s=timeout_s))


class AwaitedEnvironmentClient(aio.WorkflowClient):
    """An asynchronous client of one environment. It makes no connection, so the base is not initialized."""

    def __init__(self, driver: LoopDriver) -> None:
        self._driver = driver
        self._requests = driver.control.requests

    async def close(self) -> None:
        """Nothing is held: the environment goes on."""

    async def _send(self, call: Call[R]) -> R:
        return await self._driver.do(self._driver.control.ask(call))

    async def _wait(self, instance_id: str, for_start: bool, fetch_payloads: bool, timeout_s: float) -> WorkflowState:
        return await self._driver.do(
            self._driver.control.run_to_end(instance_id, for_start=for_start, timeout_s=timeout_s)
        )
