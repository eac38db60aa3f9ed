"""Exit codes: the contract with scripts."""

from __future__ import annotations

from enum import IntEnum

from tenuto import errors


class Exit(IntEnum):
    """How a command ended.

    OK 0; FAILED 1: the workflow failed or was terminated (`wait`, `get --exit-code`), a program of `dev` kept ending,
    or `verify` or `lint` found something; USAGE 2: wrong arguments or configuration, a request refused as invalid, or a
    store that `verify` cannot read; NOT_FOUND 3: no such instance; UNAVAILABLE 4: no engine answered, it refused the
    token, or the outcome is unknown; REFUSED 5: the id is taken, the status does not allow it, or a limit was reached;
    TIMEOUT 6: a wait ended at its timeout.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4
    REFUSED = 5
    TIMEOUT = 6


_EXITS: tuple[tuple[type[Exception], Exit], ...] = (
    (errors.WaitTimeout, Exit.TIMEOUT),
    (errors.WorkflowFailed, Exit.FAILED),
    (errors.InstanceNotFound, Exit.NOT_FOUND),
    (errors.InvalidRequest, Exit.USAGE),
    (errors.PayloadError, Exit.USAGE),
    (errors.InstanceExists, Exit.REFUSED),
    (errors.PreconditionFailed, Exit.REFUSED),
    (errors.LimitExceeded, Exit.REFUSED),
    (errors.RequestError, Exit.UNAVAILABLE),
)


def exit_for(error: errors.TenutoError) -> Exit:
    """Return the exit code for an error of this package."""
    return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.FAILED)
