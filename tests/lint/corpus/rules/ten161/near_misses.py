"""Threads of activities and programs; locks by name only."""

import threading
from collections import deque

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


guard = threading.Lock()


@wfr.activity
def guarded(ctx: wf.WorkflowActivityContext, job: dict) -> str:
    with guard:  # near miss: in an activity
        return threading.current_thread().name  # near miss: the same


class Lock:
    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *error: object) -> None: ...


@wfr.workflow
def locked(ctx: wf.WorkflowContext, jobs: list):
    queue = deque(jobs)
    with Lock():  # near miss: a class of that name
        while queue:
            yield ctx.call_activity(guarded, input=queue.popleft())  # near miss: a list of this execution


def serve() -> None:
    thread = threading.Thread(target=wfr.run)  # near miss: the program
    thread.start()


if __name__ == "__main__":
    serve()
