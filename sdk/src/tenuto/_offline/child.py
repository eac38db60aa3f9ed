"""One replay process: replays histories in the surroundings it was told, and answers with what the code asked for.

    python -m tenuto._offline.child ORDER

ORDER is an `Order` as JSON. Lines go both ways: first the child's `Ready` as JSON, then a file's path in and an
`Answer` as JSON out, until standard input ends. What the application prints goes to standard error.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import IO

import msgspec

from tenuto._offline import shims
from tenuto._offline.messages import Answer, Order, Ready
from tenuto._offline.replaying import Code, HistoryReplay
from tenuto._offline.sources import read_file
from tenuto._offline.transcripts import Entry
from tenuto._replay.executor import UnknownWorkflow
from tenuto._worker.loading import NotRunnable, load, trace_of_import
from tenuto.worker import WorkflowRuntime


class ReplayChild:
    """The process.

    Args:
        order: what to be.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._clock = shims.Clock(order.surroundings.origin_ns)
        self._held: list[object] = []

    def prepare(self) -> WorkflowRuntime:
        """Change the surroundings and import the application.

        Raises:
            NotRunnable: the target names no runtime.
        """
        order, wanted = self._order, self._order.surroundings
        sys.path[:] = [*order.paths, *(path for path in sys.path if path not in order.paths)]
        sys.argv = [order.target]
        self._clock.install()
        shims.seed_random(wanted.random_seed)
        if not wanted.is_late:
            self._perturb()
        runtime = load(order.target)
        if not isinstance(runtime, WorkflowRuntime):
            raise NotRunnable(f"{order.target} is a {type(runtime).__name__}, not a WorkflowRuntime")
        if wanted.is_late:
            self._perturb()
        return runtime

    def _perturb(self) -> None:
        wanted = self._order.surroundings
        name = self._order.target.rpartition(":")[0]
        self._clock.shift(wanted.clock_shift_s)
        if wanted.has_locale:
            shims.change_locale()
        if wanted.has_environment:
            shims.ChangedEnvironment(Path(name).resolve().parent if name.endswith(".py") else None).install()
        if wanted.has_host:
            shims.change_host()
        if wanted.has_folder:
            os.chdir(self._order.folder)

    def answer(self, runtime: WorkflowRuntime, path: str) -> Answer:
        """Replay one history, three times."""
        parts = runtime.parts()
        replay = HistoryReplay(Code(parts.registry, parts.payloads.codec), read_file(Path(path)))
        return Answer(*(self._entries(replay) for _ in range(3)))

    def _entries(self, replay: HistoryReplay) -> list[Entry]:
        wanted = self._order.surroundings
        shims.seed_random(wanted.random_seed)
        gc.collect()
        # Kept: a pool that was emptied hands its blocks out again in the order in which they came back.
        self._held += shims.settle_memory()
        scrambled = [] if wanted.memory_seed is None else shims.scramble_memory(wanted.memory_seed)
        self._clock.reset()
        try:
            return replay.run().entries
        except UnknownWorkflow:
            return []  # The ordinary replay says so.
        finally:
            scrambled.clear()


def serve(order: Order, questions: IO[str], answers: IO[bytes]) -> None:
    """Import the application, say whether that worked, and answer until there are no more questions."""
    child = ReplayChild(order)
    try:
        runtime = child.prepare()
    except NotRunnable as error:
        _say(answers, Ready(str(error)))
        return
    except BaseException as error:  # Whatever the module raises, SystemExit included: the same again at each start.
        _say(answers, Ready(trace_of_import(error)))
        return
    _say(answers, Ready())
    # Collected before each replay and not inside: what a collection frees is handed out again, in no order.
    gc.collect()
    gc.freeze()
    gc.disable()
    for line in questions:
        _say(answers, child.answer(runtime, line.rstrip("\n")))


def _say(answers: IO[bytes], value: Ready | Answer) -> None:
    answers.write(msgspec.json.encode(value) + b"\n")
    answers.flush()


def main() -> None:
    """Serve on the standard streams, which the application then no longer has."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    questions = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    serve(order, questions, answers)


if __name__ == "__main__":
    main()
