"""The perturbation check: histories replayed in changed surroundings, and what alone makes a difference.

First everything is changed at once, a few times over: code that does not mind is done with that. For histories whose
replay differed, each perturbation then is tried alone. What differs already between two processes that differ in
nothing is set aside, so that it hides nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Final, TypeAlias

import msgspec

from tenuto._offline.messages import Answer
from tenuto._offline.perturbations import (
    MEMORY,
    PROCESS,
    STATE,
    TOGETHER,
    Surroundings,
    all_together,
    variants,
)
from tenuto._offline.processes import ApplicationRefused, ReplayLost, ReplayProcess
from tenuto._offline.sensitivity import Sensitivity
from tenuto._offline.transcripts import Difference, Entry, differences

Answers: TypeAlias = dict[Path, Answer]
_LOST: Final = "no end"
# A replay process keeps what settles its memory, about 1 MiB for each history.
_PER_PROCESS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbOptions:
    """How much is tried.

    Args:
        seed: what all seeds are made from; the same seed tries the same.
        rounds: seeds for what needs luck, at least 1.
        timeout_s: how long one replay may take.
        jobs: processes at a time; 0: one for each processor.
    """

    seed: int = 0
    rounds: int = 4
    timeout_s: float = 30.0
    jobs: int = 0


@dataclass(slots=True)
class PerturbationReport:
    """What was found: for each history what it is sensitive to; and remarks on what could not be tried."""

    found: dict[Path, list[Sensitivity]]
    notes: list[str] = field(default_factory=list[str])
    hanging: dict[Path, str] = field(default_factory=dict[Path, str])


class _Comparison:
    """Answers held against those of unchanged replays.

    Args:
        base: what all others are compared with.
        again: those of processes that differ from it in nothing; what differs there differs always.
    """

    def __init__(self, base: Answers, again: list[Answers]) -> None:
        self._base = base
        self.again = again

    def _unstable(self, path: Path) -> list[Difference]:
        """Differences between equal processes, the first one first."""
        found = [one for other in self.again for one in differences(self._base[path].first, other[path].first)]
        return sorted(found, key=lambda one: one.position)

    def hits(self, path: Path, answers: Iterable[Answers]) -> list[Difference]:
        """Of each of the answers that differ the first difference."""
        unstable = self._unstable(path)
        found = (_unmasked(differences(self._base[path].first, one[path].first), unstable) for one in answers)
        return [one[0] for one in found if one]

    def without_perturbation(self, path: Path) -> list[Sensitivity]:
        """What needs no change: differences between equal processes, and between replays in one process."""
        unstable = self._unstable(path)
        found = [Sensitivity(PROCESS, unstable[0], 1, 1)] if unstable else []
        answer = self._base[path]
        replays = differences(answer.first, answer.second) or differences(answer.cold, answer.first)
        if state := _unmasked(replays, unstable):
            found.append(Sensitivity(STATE, state[0], 1, 1))
        return found

    def is_suspect(self, path: Path, changed: Iterable[Answers]) -> bool:
        """Whether anything differs at all."""
        return bool(self.without_perturbation(path) or self.hits(path, changed))

    def hanging(self) -> dict[Path, str]:
        """Histories whose unchanged replay does not end, and what became of it."""
        return {
            path: answer.first[-1].values["text"] or ""
            for path, answer in self._base.items()
            if answer.first and answer.first[-1].kind == _LOST
        }


class PerturbationCheck:
    """Replays histories under perturbation.

    Args:
        target: the application as MODULE:RUNTIME.
        folder: an empty folder that replays may work in.
        options: how much is tried.
    """

    def __init__(self, target: str, folder: str, options: PerturbOptions) -> None:
        # A file must be found from another folder too.
        name, _, attribute = target.rpartition(":")
        self._target = f"{Path(name).resolve()}:{attribute}" if name.endswith(".py") else target
        self._folder = folder
        self._options = options
        self._abandoned = Event()
        self._running: set[ReplayProcess] = set()
        self._origin_ns = time.time_ns()  # where the clocks of all replays begin
        self._notes: dict[str, None] = {}

    def run(self, histories: Sequence[Path]) -> PerturbationReport:
        """Replay all histories in all surroundings.

        Raises:
            ApplicationRefused: the application cannot be imported at all.
        """
        together = all_together(self._options.seed, self._options.rounds)
        base, again, *others = self._replay_each([Surroundings(), Surroundings(), *together], histories)
        if base is None or again is None:
            raise ApplicationRefused(next(iter(self._notes), "the application could be imported only once"))
        changed = [one for one in others if one is not None]
        comparison = _Comparison(base, [again])
        report = PerturbationReport({path: [] for path in histories})
        suspects = [path for path in histories if comparison.is_suspect(path, changed)]
        if suspects:
            self._search(report, suspects, comparison)
        for path in suspects:
            hits = comparison.hits(path, changed)
            if hits and not report.found[path]:
                report.found[path].append(Sensitivity(TOGETHER, hits[0], len(hits), len(changed)))
        report.hanging = comparison.hanging()
        report.notes = list(self._notes)
        return report

    def _search(self, report: PerturbationReport, suspects: list[Path], comparison: _Comparison) -> None:
        """Tries each perturbation alone on those that differed."""
        alone = variants(self._options.seed, self._options.rounds)
        # Twice nothing changed, for what differs between equal processes only now and then.
        tried = [(PROCESS, Surroundings())] * 2
        tried += [(perturbation, one) for perturbation, several in alone.items() for one in several]
        answers = list(zip(tried, self._replay_each([one for _, one in tried], suspects), strict=True))
        comparison.again += [one for (of, _), one in answers if of is PROCESS and one is not None]
        for path in suspects:
            found = comparison.without_perturbation(path)
            for perturbation in alone:
                own = [one for (of, _), one in answers if of is perturbation and one is not None]
                hits = comparison.hits(path, own)
                if hits:
                    found.append(Sensitivity(perturbation, hits[0], len(hits), len(own)))
            report.found[path] = _without_consequences(found)

    def _replay_each(self, wanted: Sequence[Surroundings], histories: Sequence[Path]) -> list[Answers | None]:
        """One process for each of the surroundings, several at a time."""
        jobs = self._options.jobs or os.cpu_count() or 1
        with ThreadPoolExecutor(max_workers=min(jobs, len(wanted))) as pool:
            try:
                return list(pool.map(partial(self._replay_in, histories), wanted))
            except BaseException:
                # A user's interrupt: threads must neither wait for their processes nor start others.
                self._abandoned.set()
                for process in list(self._running):
                    process.kill()
                raise

    def _replay_in(self, histories: Sequence[Path], surroundings: Surroundings) -> Answers | None:
        """All histories in one process; None, and a note, where the application cannot be imported there."""
        surroundings = msgspec.structs.replace(surroundings, origin_ns=self._origin_ns)
        try:
            return self._replay_all(surroundings, histories)
        except ApplicationRefused as refused:
            self._note(surroundings, refused)
        if surroundings == Surroundings(origin_ns=self._origin_ns):
            return None
        try:
            return self._replay_all(msgspec.structs.replace(surroundings, is_late=True), histories)
        except ApplicationRefused as refused:
            self._note(surroundings, refused)
            return None

    def _replay_all(self, surroundings: Surroundings, histories: Sequence[Path]) -> Answers:
        answers: Answers = {}
        while len(answers) < len(histories) and not self._abandoned.is_set():
            with ReplayProcess(self._target, self._folder, surroundings) as process:
                self._running.add(process)
                try:
                    self._replay_some(process, [path for path in histories if path not in answers], answers)
                finally:
                    self._running.discard(process)
        return answers

    def _replay_some(self, process: ReplayProcess, histories: list[Path], answers: Answers) -> None:
        """As many as one process should replay; one that does not answer is the last."""
        process.wait_until_ready()
        for path in histories[:_PER_PROCESS]:
            try:
                answers[path] = process.replay(path, self._options.timeout_s)
            except ReplayLost as lost:
                end = [Entry(0, _LOST, values={"text": str(lost)})]
                answers[path] = Answer(end, end, end)
                return

    def _note(self, surroundings: Surroundings, refused: ApplicationRefused) -> None:
        plain = Surroundings(origin_ns=surroundings.origin_ns)
        if surroundings == plain:
            self._notes[str(refused)] = None
            return
        changed = [
            name
            for name in Surroundings.__struct_fields__
            if name != "is_late" and getattr(surroundings, name) != getattr(plain, name)
        ]
        reason = str(refused).strip().splitlines()[-1]
        what = changed[0].removeprefix("has_").replace("_", " ") if len(changed) == 1 else "all surroundings changed"
        self._notes[f"the application cannot be imported with {what}: {reason}; they changed after the import"] = None


def _unmasked(found: list[Difference], unstable: list[Difference]) -> list[Difference]:
    """Differences that are not already there between two equal processes, up to where these part for good."""
    masked = {(one.position, one.field) for one in unstable}
    end = next((one.position for one in unstable if one.is_structural), None)
    return [one for one in found if (one.position, one.field) not in masked and (end is None or one.position < end)]


def _without_consequences(found: list[Sensitivity]) -> list[Sensitivity]:
    """Objects lie elsewhere in a second replay: where that decides, no state outside the workflow is to blame."""
    by_memory = {(one.difference.position, one.difference.field) for one in found if one.perturbation is MEMORY}
    return [
        one
        for one in found
        if one.perturbation is not STATE or (one.difference.position, one.difference.field) not in by_memory
    ]
