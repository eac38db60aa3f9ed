"""Turns: from an item of the engine to its answer, with live instances kept between turns."""

from __future__ import annotations

import logging
from collections import OrderedDict

import msgspec

from tenuto._guard.guard import Guard
from tenuto._payloads import Payloads
from tenuto._replay.actions import Action, FailExecution, encode_actions, encode_failure
from tenuto._replay.events import Event, Failure, decode_event
from tenuto._replay.executor import Executor, TurnOutcome, UnknownWorkflow
from tenuto._replay.failures import from_exception, to_details
from tenuto._replay.scene import Investigator
from tenuto._wire.worker import Outcome, Turn, TurnAnswer
from tenuto._worker.registry import Registry
from tenuto.errors import GuardViolation, NonDeterminismError

_log = logging.getLogger("tenuto.worker")
# Kinds of differences whose first instance is remembered; beyond it each is logged whole.
_MOST_LOGGED = 1_000


class _Live(msgspec.Struct):
    """A live instance and the commit it stands at."""

    executor: Executor
    execution_id: str
    commit_id: str


class TurnRunner:
    """Runs turns one at a time.

    A live instance is used again only where the engine's item builds on exactly the commit it stands at; otherwise it
    is dropped and the engine asked for the full history. That makes keeping one safe whatever became of its last turn.

    Args:
        registry: the code.
        payloads: how payloads are read and written.
        guard: watches the code.
        max_sticky: live instances kept, the least recently used dropped first; 0 keeps none.
        check_inputs, investigator: see `Executor`.
    """

    def __init__(
        self,
        registry: Registry,
        payloads: Payloads,
        *,
        guard: Guard,
        max_sticky: int,
        check_inputs: bool = False,
        investigator: Investigator | None = None,
    ) -> None:
        self._registry = registry
        self._payloads = payloads
        self._guard = guard
        self._max_sticky = max_sticky
        self._check_inputs = check_inputs
        self._investigator = investigator
        self._live: OrderedDict[str, _Live] = OrderedDict()
        self._chunks: dict[str, list[bytes]] = {}
        self._logged: dict[tuple[str, str, str], str] = {}
        self.max_actions_bytes = 0

    @property
    def live_count(self) -> int:
        """How many live instances are kept."""
        return len(self._live)

    def run(self, turn: Turn) -> TurnAnswer | None:
        """Runs a turn; None for a chunk of history that more follow."""
        history = turn.history
        if turn.has_more:
            self._chunks.setdefault(turn.commit_id, []).extend(history)
            return None
        if self._chunks:
            history = [*self._chunks.pop(turn.commit_id, ()), *history]
        live = self._find(turn)
        if live is None:
            return TurnAnswer(turn.instance_id, turn.execution_id, turn.commit_id, Outcome.NEED_HISTORY)
        try:
            past: list[Event] = [decode_event(data) for data in history]
            fresh: list[Event] = [decode_event(data) for data in turn.new_events]
            outcome = live.executor.run(past, fresh)
            answer = self._answer(turn, outcome)
        except UnknownWorkflow as error:
            return self._give_up(turn, Outcome.NOT_REGISTERED, error)
        except Exception as error:  # Whatever it is (bytes of a newer engine, a fault of ours), other turns must go on.
            _log.exception("instance '%s': the turn could not be run; the engine tries again later", turn.instance_id)
            return self._give_up(turn, Outcome.FAILED, error)
        if outcome.is_finished or outcome.problem is not None:
            self.forget(turn.instance_id)
        elif self._live.get(turn.instance_id) is live:
            live.commit_id = turn.commit_id
            self._shrink()
        return answer

    def forget(self, instance_id: str, execution_id: str = "") -> None:
        """Drops a live instance; an empty execution id means any."""
        live = self._live.get(instance_id)
        if live is not None and execution_id in ("", live.execution_id):
            del self._live[instance_id]
            live.executor.close()

    def forget_all(self) -> None:
        """Drops every live instance."""
        for instance_id in list(self._live):
            self.forget(instance_id)
        self.forget_chunks()

    def forget_chunks(self) -> None:
        """Drops history received in part: its rest was lost with the stream."""
        self._chunks.clear()

    def _find(self, turn: Turn) -> _Live | None:
        """The live instance to go on with, a new one where all history is at hand, else None."""
        if turn.is_full or turn.history_length == 0:
            self.forget(turn.instance_id)
            executor = Executor(
                turn.instance_id,
                turn.execution_id,
                definitions=self._registry,
                payloads=self._payloads,
                watch=self._guard.watch(turn.instance_id),
                check_inputs=self._check_inputs,
                investigator=self._investigator,
            )
            begun = self._live[turn.instance_id] = _Live(executor, turn.execution_id, "")
            return begun
        live = self._live.get(turn.instance_id)
        if live is None:
            return None
        if live.execution_id != turn.execution_id or live.commit_id != turn.base_commit_id:
            self.forget(turn.instance_id)
            return None
        self._live.move_to_end(turn.instance_id)
        return live

    def _answer(self, turn: Turn, outcome: TurnOutcome) -> TurnAnswer:
        if outcome.problem is not None:
            return self._refuse(turn, outcome.problem)
        _log_failure(turn, outcome.actions)
        encoded = encode_actions(outcome.actions)
        if self.max_actions_bytes and len(encoded) > self.max_actions_bytes:
            return self._refuse_size(turn, outcome, len(encoded))
        return TurnAnswer(
            turn.instance_id,
            turn.execution_id,
            turn.commit_id,
            Outcome.COMPLETED,
            encoded,
            outcome.custom_status,
            outcome.patches,
            code_hash=outcome.code_hash,
        )

    def _refuse(self, turn: Turn, problem: NonDeterminismError | GuardViolation) -> TurnAnswer:
        if isinstance(problem, GuardViolation):
            _log.error("instance '%s' stalls: %s", turn.instance_id, problem)
            refused, failure = Outcome.GUARD_REFUSED, from_exception(problem)
        else:
            self._log_problem(turn, problem)
            refused, failure = Outcome.NON_DETERMINISTIC, Failure(problem.code, str(problem), non_retryable=True)
        return TurnAnswer(turn.instance_id, turn.execution_id, turn.commit_id, refused, failure=encode_failure(failure))

    def _log_problem(self, turn: Turn, problem: NonDeterminismError) -> None:
        """Whole reports once for each difference: a bad release meets the same one in thousands of instances."""
        kind = (problem.code, problem.recorded, problem.attempted)
        known = self._logged.get(kind)
        if known is None:
            if len(self._logged) < _MOST_LOGGED:
                self._logged[kind] = turn.instance_id
            _log.error("instance '%s' stalls: %s", turn.instance_id, problem)
        else:
            text = "instance '%s' stalls with %s like instance '%s'; `tenuto workflow get` shows its report"
            _log.error(text, turn.instance_id, problem.code, known)

    def _refuse_size(self, turn: Turn, outcome: TurnOutcome, size: int) -> TurnAnswer:
        """The engine could not receive what the code asks for, and the stream would break for all other instances."""
        self.forget(turn.instance_id)
        text = (
            f"one turn of instance '{turn.instance_id}' asks for {len(outcome.actions):,} operations of {size:,} bytes "
            f"together, the limit is {self.max_actions_bytes:,}; ask for fewer at once, or store inputs elsewhere and "
            "pass references"
        )
        failure = Failure(type="LimitExceeded", message=text, non_retryable=True)
        actions = encode_actions([FailExecution(outcome.actions[0].event_id, failure)])
        return TurnAnswer(turn.instance_id, turn.execution_id, turn.commit_id, Outcome.COMPLETED, actions)

    def _give_up(self, turn: Turn, outcome: Outcome, error: Exception) -> TurnAnswer:
        self.forget(turn.instance_id)
        failure = encode_failure(from_exception(error))
        return TurnAnswer(turn.instance_id, turn.execution_id, turn.commit_id, outcome, failure=failure)

    def _shrink(self) -> None:
        while len(self._live) > self._max_sticky:
            _, live = self._live.popitem(last=False)
            live.executor.close()


def _log_failure(turn: Turn, asked: list[Action]) -> None:
    if asked and isinstance(asked[-1], FailExecution):
        failure = asked[-1].failure
        text, stack = to_details(failure).headline, f"\n{failure.stack.rstrip()}" if failure.stack else ""
        _log.warning("the workflow of instance '%s' failed: %s%s", turn.instance_id, text, stack)
