"""Tenuto: durable workflows in ordinary Python.

Workflows are generators or `async def` functions that call activities; the engine records what happened, and after a
crash, an eviction or a deployment they go on from there::

    import tenuto as wf

    wfr = wf.WorkflowRuntime()

    @wfr.workflow
    def order(ctx: wf.WorkflowContext, order_id: str):
        receipt = yield ctx.call_activity(charge, input=order_id)
        return receipt

    @wfr.activity
    def charge(ctx: wf.WorkflowActivityContext, order_id: str) -> str: ...
"""

from importlib import metadata as _metadata

from tenuto.activity import WorkflowActivityContext
from tenuto.client import DaprWorkflowClient, WorkflowClient, WorkflowIdReusePolicy, WorkflowState, WorkflowStatus
from tenuto.errors import (
    AccessDenied,
    ActivityCancelled,
    EngineUnavailable,
    FailureDetails,
    GuardViolation,
    InstanceExists,
    InstanceNotFound,
    InvalidRequest,
    LimitExceeded,
    NonDeterminismError,
    NonRetryableError,
    OutcomeUnknown,
    PayloadError,
    PreconditionFailed,
    RegistrationError,
    RequestError,
    TaskCancelledError,
    TaskFailedError,
    TenutoError,
    WaitTimeout,
    WorkflowFailed,
)
from tenuto.payload import PayloadCodec
from tenuto.worker import WorkflowRuntime, alternate_name
from tenuto.workflow import (
    CancellableTask,
    DaprWorkflowContext,
    RetryPolicy,
    Task,
    WorkflowContext,
    when_all,
    when_any,
)

try:
    __version__ = _metadata.version("tenuto")
except _metadata.PackageNotFoundError:  # Run from a source tree that was never installed.
    __version__ = "unknown"

__all__ = [
    "AccessDenied",
    "ActivityCancelled",
    "CancellableTask",
    "DaprWorkflowClient",
    "DaprWorkflowContext",
    "EngineUnavailable",
    "FailureDetails",
    "GuardViolation",
    "InstanceExists",
    "InstanceNotFound",
    "InvalidRequest",
    "LimitExceeded",
    "NonDeterminismError",
    "NonRetryableError",
    "OutcomeUnknown",
    "PayloadCodec",
    "PayloadError",
    "PreconditionFailed",
    "RegistrationError",
    "RequestError",
    "RetryPolicy",
    "Task",
    "TaskCancelledError",
    "TaskFailedError",
    "TenutoError",
    "WaitTimeout",
    "WorkflowActivityContext",
    "WorkflowClient",
    "WorkflowContext",
    "WorkflowFailed",
    "WorkflowIdReusePolicy",
    "WorkflowRuntime",
    "WorkflowState",
    "WorkflowStatus",
    "__version__",
    "alternate_name",
    "when_all",
    "when_any",
]
