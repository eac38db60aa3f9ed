"""Conditions: made by statement, merged with those before, so that a moment of transition is one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from tenuto_operator.model.conditions import Reason, Type
from tenuto_operator.model.status import Condition, ConditionStatus

MAX_MESSAGE = 2_000
"""Characters; the API server takes more, people do not."""


class Statement(msgspec.Struct, frozen=True):
    """What is said of an object now; when it began to be so is added by `merge`."""

    type: Type
    status: ConditionStatus
    reason: Reason
    message: str


def merge(
    before: Iterable[Condition], statements: Iterable[Statement], *, at: datetime, generation: int
) -> tuple[Condition, ...]:
    """Return the conditions that these statements make: a time of transition changes only where the status does.

    A condition of which nothing is said any more goes. The order is that of the statements.
    """
    known = {condition.type: condition for condition in before}
    made: list[Condition] = []
    for said in statements:
        old = known.get(said.type)
        since = old.last_transition_time if old is not None and old.status == said.status else at
        message = said.message if len(said.message) <= MAX_MESSAGE else f"{said.message[: MAX_MESSAGE - 1]}…"
        made.append(Condition(said.type.value, said.status, said.reason.value, message, since, generation))
    return tuple(made)
