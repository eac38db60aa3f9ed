"""Monitor: look at something again and again, for as long as it takes, without a history that grows for ever.

`continue_as_new` ends one round and begins the next one with an empty history; the instance keeps its id, and whoever
waits for it goes on waiting.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import tenuto as wf

wfr = wf.WorkflowRuntime()


@dataclass(frozen=True)
class Watch:
    """What is watched, how often, and what the rounds so far have carried along."""

    job: str
    every_seconds: float = 60
    rounds: int = 0
    rounds_at_most: int = 1000


@wfr.workflow
def watch_job(ctx: wf.WorkflowContext, watch: Watch) -> Generator[Any, Any, str]:
    """Ask for the job's progress until it is done, or until there were too many rounds."""
    percent: int = yield ctx.call_activity(progress_of, input=watch)
    ctx.set_custom_status({"percent": percent, "rounds": watch.rounds + 1})
    if percent >= 100:
        return f"{watch.job} is done after {watch.rounds + 1} rounds"
    if watch.rounds + 1 >= watch.rounds_at_most:
        return f"{watch.job} is given up at {percent} %"
    yield ctx.create_timer(timedelta(seconds=watch.every_seconds))
    ctx.continue_as_new(replace(watch, rounds=watch.rounds + 1))
    return ""  # Nobody sees this: the next round's result counts.


@wfr.activity
def progress_of(ctx: wf.WorkflowActivityContext, watch: Watch) -> int:
    """Ask how far the job is; this one makes a quarter a round."""
    return min(100, 25 * (watch.rounds + 1))


def main() -> None:
    """Watch a job that takes four rounds."""
    with wfr, wf.WorkflowClient() as client:
        instance_id = client.schedule_new_workflow(watch_job, input=Watch("backup", every_seconds=0.2))
        state = client.wait_for_workflow_completion(instance_id)
        print(state.result(), f"({state.history_length} events in the last round's history)")


if __name__ == "__main__":
    main()
