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

import typing as _typing
from importlib import import_module as _import_module

if _typing.TYPE_CHECKING:
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

    __version__: str

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

# What holds the public names. They are imported when one of them is first asked for: the linter and other tools of
# this package start without the libraries that talk to an engine.
_MODULES = (
    "tenuto.activity",
    "tenuto.client",
    "tenuto.errors",
    "tenuto.payload",
    "tenuto.worker",
    "tenuto.workflow",
)

if not _typing.TYPE_CHECKING:  # A type checker would take any name for one that exists.

    def __getattr__(name: str) -> object:
        """Import all public names at the first use of one; then they stand here like any other."""
        if name == "__version__":
            globals()[name] = _version()
        elif name in __all__:
            # All at once: a name that is first used inside a workflow's turn must not import anything there.
            for place in _MODULES:
                module = _import_module(place)
                globals().update((one, getattr(module, one)) for one in __all__ if hasattr(module, one))
        if name not in globals():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals()[name]


def __dir__() -> list[str]:
    return __all__


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("tenuto")
    except metadata.PackageNotFoundError:  # Run from a source tree that was never installed.
        return "unknown"
