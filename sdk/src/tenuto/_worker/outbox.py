"""Answers on their way to the engine.

Turn answers belong to the stream on which their item came and die with it: the engine sends the turn again. Results of
activities are kept until the engine acknowledges them and are sent again on each new stream.
"""

from __future__ import annotations

import asyncio

from tenuto._wire.worker import ActivityAnswer, Beat, TurnAnswer


class Outbox:
    """Queued answers, and results that are not acknowledged yet. Used by the worker's loop alone."""

    def __init__(self) -> None:
        self._turns: list[TurnAnswer] = []
        self._activities: list[ActivityAnswer] = []
        self._beats: list[Beat] = []
        self._kept: dict[str, ActivityAnswer] = {}
        self._filled = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def kept_tokens(self) -> list[str]:
        """Tokens of results that the engine has not acknowledged."""
        return list(self._kept)

    def add_turn(self, answer: TurnAnswer) -> None:
        """Queues the answer to a turn."""
        self._turns.append(answer)
        self._filled.set()

    def add_activity(self, answer: ActivityAnswer) -> None:
        """Queues the answer to an activity, and keeps it until it is acknowledged; a rejection is only sent."""
        self._activities.append(answer)
        if not answer.is_rejected:
            self._kept[answer.token] = answer
            self._settled.clear()
        self._filled.set()

    def add_beat(self, beat: Beat) -> None:
        """Queues a sign of life; it dies with the stream, for it tells of this moment only."""
        self._beats.append(beat)
        self._filled.set()

    def acknowledge(self, token: str) -> None:
        """Drops a result that is durable, or that nobody wants any more."""
        self._kept.pop(token, None)
        if not self._kept:
            self._settled.set()

    def nudge(self) -> None:
        """Lets the writer run although nothing is queued."""
        self._filled.set()

    def begin_stream(self) -> None:
        """Queues everything kept for a new stream, and nothing else."""
        self._turns.clear()
        self._beats.clear()
        self._activities = list(self._kept.values())
        if self._activities:
            self._filled.set()

    async def take(self) -> tuple[list[TurnAnswer], list[ActivityAnswer], list[Beat]]:
        """Everything queued, in order; waits until there is something, or a nudge."""
        await self._filled.wait()
        self._filled.clear()
        turns, self._turns = self._turns, []
        activities, self._activities = self._activities, []
        beats, self._beats = self._beats, []
        return turns, activities, beats

    async def wait_settled(self) -> None:
        """Waits until every result is acknowledged."""
        await self._settled.wait()
