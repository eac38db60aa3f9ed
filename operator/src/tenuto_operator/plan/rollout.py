"""How the version of the spec becomes current: gate, ramp, abort.

| state | means | goes on when |
|---|---|---|
| Pending | its pods are not ready, or no worker of its is connected | they are |
| Verifying | its gate runs | it passed; Rejected if it failed or took too long |
| Waiting | strategy Manual: a person must promote it | the annotation names it |
| Ramping | a part of the new instances start on it | each step's pause is over; Rejected if too many fail |
| Current | all new instances start on it | |
| Rejected | it was given up; it gets no new instances | the spec names another version |

The routing record in the store is the only memory: it tells the step, since when, and what was rejected. So two
operators, or one that was restarted, go on alike. The first version of all has nothing to protect and does not ramp.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from tenuto_operator.model import annotation_keys
from tenuto_operator.model.conditions import Reason
from tenuto_operator.model.durations import write_duration
from tenuto_operator.model.status import VersionState
from tenuto_operator.model.workflow import Gate, RolloutSpec
from tenuto_operator.plan.changes import Change, Route, RunGate, SetClosed
from tenuto_operator.plan.observed import GateResult, Routing
from tenuto_operator.plan.versions import VersionFacts


class Advance(msgspec.Struct, frozen=True):
    """What one look decides. `routing`: as it will be when `changes` are made. `is_progressing`: by itself."""

    state: VersionState
    routing: Routing
    changes: tuple[Change, ...]
    is_progressing: bool
    reason: Reason
    message: str


class Candidate(msgspec.Struct, frozen=True):
    """The version of the spec. `is_promoted`: a person said that it shall be current. `at`: the moment of the look.

    `workflow`: name of the Workflow, for what a person is told to do.
    """

    workflow: str
    facts: VersionFacts
    gate: GateResult
    is_promoted: bool
    at: datetime


def advance(rollout: RolloutSpec, routing: Routing, candidate: Candidate) -> Advance:
    """Decide the next step of the candidate. At most one route is written per look."""
    version = candidate.facts.id
    if version == routing.current:
        done = _routed(routing, current=version) if routing.target else _unchanged(routing)
        return _made(done, "Current", Reason.ROLLOUT_COMPLETE, f"{version} is current", progressing=False)
    if version in routing.rejected:
        left = _routed(routing, current=routing.current) if routing.target else _unchanged(routing)
        message = f"{version} was given up; change the template, or version, to try another one"
        return _made(left, "Rejected", Reason.VERSION_REJECTED, message, progressing=False)
    is_ramping = routing.target == version
    waiting = _waiting(rollout, candidate)
    if waiting is not None:
        # A ramp of an older candidate ends here. Its own ramp stands still: its instances would only wait elsewhere.
        kept = _unchanged(routing) if is_ramping or not routing.target else _routed(routing, current=routing.current)
        is_late = waiting[0] is Reason.PROGRESS_DEADLINE_EXCEEDED
        return _made(kept, "Ramping" if is_ramping else "Pending", *waiting, progressing=not is_late)
    gate = None if is_ramping else _gate(rollout.gate, routing, candidate)
    if gate is not None:
        return gate
    if not routing.current or rollout.strategy == "AllAtOnce":
        return _promoted(routing, candidate)
    if rollout.strategy == "Manual":
        return _manual(routing, candidate)
    return _ramp(rollout, routing, candidate)


class _Move(msgspec.Struct, frozen=True):
    """A routing, and the changes that lead to it."""

    routing: Routing
    changes: tuple[Change, ...] = ()


def _made(move: _Move, state: VersionState, reason: Reason, message: str, *, progressing: bool) -> Advance:
    return Advance(state, move.routing, move.changes, progressing, reason, message)


def _unchanged(routing: Routing) -> _Move:
    return _Move(routing)


def _routed(
    routing: Routing, *, current: str, target: str = "", ramp_percent: int = 0, rejected: tuple[str, ...] | None = None
) -> _Move:
    kept = routing.rejected if rejected is None else rejected
    route = Route(current=current, target=target, ramp_percent=ramp_percent, rejected=kept)
    return _Move(Routing(current, target, ramp_percent, kept, routing.changed_at), (route,))


def _opened(move: _Move, candidate: Candidate) -> _Move:
    """A version that was closed, since it was on its way out, takes instances again before it is routed to."""
    counters = candidate.facts.counters
    if counters is None or not counters.is_closed:
        return move
    return _Move(move.routing, (SetClosed(candidate.facts.id, is_closed=False), *move.changes))


def _waiting(rollout: RolloutSpec, candidate: Candidate) -> tuple[Reason, str] | None:
    """Why the candidate is not ready; None: it is."""
    facts, version = candidate.facts, candidate.facts.id
    if facts.is_rolled_out and facts.counters is not None and facts.counters.workers:
        return None
    if facts.deployment is not None and facts.replicas == 0:
        return Reason.WAITING_FOR_PODS, f"{version} has no pods, since replicas is 0; set it to at least 1"
    if not facts.is_rolled_out:
        reason = Reason.WAITING_FOR_PODS
        message = f"{version} has {facts.ready_replicas} of {facts.replicas} pods ready"
    else:
        reason = Reason.WAITING_FOR_WORKERS
        message = f"the pods of {version} are ready, but no worker of its is connected to an engine yet"
    before = facts.remembered
    since = before.since if before is not None and before.state == "Pending" else None
    if since is not None and candidate.at - since > rollout.progress_deadline:
        limit = write_duration(rollout.progress_deadline)
        return Reason.PROGRESS_DEADLINE_EXCEEDED, f"{message}, after more than {limit}; look at its pods and their logs"
    return reason, message


def _gate(gate: Gate | None, routing: Routing, candidate: Candidate) -> Advance | None:
    """What the gate says; None: it is passed, or there is none."""
    result, version = candidate.gate, candidate.facts.id
    if gate is None or result.outcome == "Passed":
        return None
    if result.outcome == "NotStarted":
        kept = _routed(routing, current=routing.current) if routing.target else _unchanged(routing)
        begun = _Move(kept.routing, (*kept.changes, RunGate(version, gate)))
        return _made(begun, "Verifying", Reason.WAITING_FOR_GATE, f"the gate of {version} begins", progressing=True)
    spent = candidate.at - result.started_at if result.started_at is not None else timedelta()
    if result.outcome == "Running" and spent <= gate.timeout:
        message = f"the gate of {version} runs: {result.message or 'no result yet'}"
        return _made(_unchanged(routing), "Verifying", Reason.WAITING_FOR_GATE, message, progressing=True)
    why = result.message if result.outcome == "Failed" else f"it took longer than {write_duration(gate.timeout)}"
    return _rejected(routing, version, Reason.GATE_FAILED, f"the gate of {version} failed: {why}")


def _rejected(routing: Routing, version: str, reason: Reason, message: str) -> Advance:
    move = _routed(routing, current=routing.current, rejected=(*routing.rejected, version)[-_REMEMBERED:])
    return _made(move, "Rejected", reason, message, progressing=False)


_REMEMBERED = 20
"""Rejected versions that the routing record keeps: more than can live at one time."""


def _promoted(routing: Routing, candidate: Candidate) -> Advance:
    version = candidate.facts.id
    move = _opened(_routed(routing, current=version), candidate)
    return _made(move, "Current", Reason.ROLLOUT_COMPLETE, f"{version} is current", progressing=False)


def _manual(routing: Routing, candidate: Candidate) -> Advance:
    version = candidate.facts.id
    if candidate.is_promoted:
        return _promoted(routing, candidate)
    kept = _routed(routing, current=routing.current) if routing.target else _unchanged(routing)
    message = (
        f"{version} is ready and waits for a person: kubectl annotate --overwrite workflow {candidate.workflow} "
        f"{annotation_keys.PROMOTE}={version}"
    )
    return _made(kept, "Waiting", Reason.WAITING_FOR_PROMOTION, message, progressing=False)


def _ramp(rollout: RolloutSpec, routing: Routing, candidate: Candidate) -> Advance:
    version = candidate.facts.id
    if routing.target != version:
        return _stepped(rollout, routing, candidate, percent=0)
    counters, abort = candidate.facts.counters, rollout.abort_on
    if counters is not None and abort is not None and counters.ramp_ended >= abort.minimum_instances:
        failed, ended = counters.ramp_failed, counters.ramp_ended
        if 100 * failed > abort.failure_rate_percent * ended:
            message = (
                f"{version} was given up: {failed} of {ended} instances on it failed or stalled, more than "
                f"{abort.failure_rate_percent} %; {routing.current} gets all new instances again"
            )
            return _rejected(routing, version, Reason.FAILURE_RATE, message)
    # The steps may have been edited meanwhile: the pause is that of the last step not above what is.
    passed = [step for step in rollout.steps if step.percent <= routing.ramp_percent]
    pause = passed[-1].pause if passed else timedelta()
    spent = candidate.at - routing.changed_at if routing.changed_at is not None else timedelta()
    if spent < pause:
        next_at = candidate.at + (pause - spent)
        # A moment and no countdown, so that the status is not written anew at every look.
        message = f"{_shares(routing, version, routing.ramp_percent)}; next step at {next_at:%Y-%m-%d %H:%M:%S} UTC"
        return _made(_unchanged(routing), "Ramping", Reason.RAMPING, message, progressing=True)
    return _stepped(rollout, routing, candidate, percent=routing.ramp_percent)


def _stepped(rollout: RolloutSpec, routing: Routing, candidate: Candidate, *, percent: int) -> Advance:
    """Take the first step above a part, or become current where there is none."""
    version = candidate.facts.id
    step = next((each for each in rollout.steps if each.percent > percent), None)
    if step is None:
        return _promoted(routing, candidate)
    move = _routed(routing, current=routing.current, target=version, ramp_percent=step.percent)
    message = _shares(routing, version, step.percent)
    return _made(_opened(move, candidate), "Ramping", Reason.RAMPING, message, progressing=True)


def _shares(routing: Routing, version: str, percent: int) -> str:
    return f"{percent} % of new instances start on {version}, the others on {routing.current}"
