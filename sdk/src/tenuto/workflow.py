"""What workflow functions are written with: the context, tasks, retry policies."""

from tenuto._replay.definitions import name_of as workflow_name
from tenuto._replay.policy import RetryPolicy
from tenuto._replay.tasks import CancellableTask, Task, when_all, when_any
from tenuto._worker.context import WorkflowContext, WorkflowLogger

DaprWorkflowContext = WorkflowContext

__all__ = [
    "CancellableTask",
    "DaprWorkflowContext",
    "RetryPolicy",
    "Task",
    "WorkflowContext",
    "WorkflowLogger",
    "when_all",
    "when_any",
    "workflow_name",
]
