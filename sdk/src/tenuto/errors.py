"""Everything that Tenuto raises into user code, as one tree.

    TenutoError
    ├── RegistrationError           a workflow or activity that cannot be registered so (also ValueError)
    ├── PayloadError                a value that cannot be encoded, or bytes that do not fit (also ValueError)
    ├── TaskFailedError             in a workflow: an activity or child workflow failed; `details` says why
    ├── TaskCancelledError          in a workflow: it waits for a timer that it cancelled itself
    ├── NonRetryableError           raised BY activities: the failure is final, whatever the retry policy says
    ├── ActivityCancelled           in an activity: nobody waits for this run any more; let it end the activity
    ├── NonDeterminismError         replay asked for something else than history records; stalls the instance
    ├── GuardViolation              workflow code called what answers otherwise on replay; stalls the instance
    ├── UnreadableHistory           an exported history is not of the documented form (also ValueError)
    ├── ReplayFailed                in a test: today's code does not fit recorded histories (also AssertionError)
    ├── WorkflowFailed              in a client: the workflow ended as failed or terminated; `details` says why
    ├── WaitTimeout                 in a client: the workflow did not get there in time (also TimeoutError)
    └── RequestError                in a client: the engine refused or could not be asked
        ├── InvalidRequest          the request itself is wrong (also ValueError)
        ├── AccessDenied            the token is missing or wrong (also PermissionError)
        ├── InstanceNotFound        no such instance (also LookupError)
        ├── InstanceExists          the instance id is taken
        ├── PreconditionFailed      the instance's status does not allow this
        ├── LimitExceeded           a limit, named in the message, was reached
        ├── EngineUnavailable       not executed: no engine answered; repeating is safe (also ConnectionError)
        └── OutcomeUnknown          may have been executed: the engine was lost before it answered

    WorkflowSignal (BaseException)  control flow between the SDK and workflow code; never caught by `except Exception`

A timed-out `wait_for_external_event` raises the built-in `TimeoutError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import Final

NON_DETERMINISTIC: Final = "NON_DETERMINISTIC"
UNEXPECTED_ACTIVITY: Final = "UNEXPECTED_ACTIVITY"
GUARD_REFUSED: Final = "GUARD_REFUSED"

_DETERMINISM_TEXTS: Final = {
    NON_DETERMINISTIC: "Workflow code changed or behaves differently",
    UNEXPECTED_ACTIVITY: "Workflow tried to call different activity than recorded",
}


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """Why something failed, as history records it.

    Args:
        message: what the error said.
        error_type: qualified name of the error class, for example `myapp.errors.CardDeclined`.
        stack_trace: frames of user code, oldest first; empty where there are none.
        cause: the failure behind this one; chains are cut after 10.
        non_retryable: True where no retry policy would have tried again.
        bases: names of the classes that the error class derives from.
    """

    message: str
    error_type: str
    stack_trace: str = ""
    cause: FailureDetails | None = None
    non_retryable: bool = False
    bases: tuple[str, ...] = ()

    def matches(self, name: str) -> bool:
        """Says whether `name`, qualified or not, names this error's class or one that it derives from."""
        return any(known == name or known.rpartition(".")[2] == name for known in (self.error_type, *self.bases))

    @property
    def headline(self) -> str:
        """The error's class and message, without its causes."""
        return f"{self.error_type}: {self.message}" if self.message else self.error_type

    def __str__(self) -> str:
        own, cause = self.headline, self.cause
        while cause is not None and cause.headline in own:
            # "activity 'a' failed: X" is caused by X: saying it once is enough.
            cause = cause.cause
        return own if cause is None else f"{own} (caused by {cause})"


class TenutoError(Exception):
    """Root of all errors of this package."""


class RegistrationError(TenutoError, ValueError):
    """A workflow or activity cannot be registered so: the message names it and what to change."""


class PayloadError(TenutoError, ValueError):
    """A value cannot be encoded, or bytes do not fit the annotation: the message names the type and the place."""


class NonRetryableError(TenutoError):
    """Raise it, or a class derived from it, in an activity or child workflow whose failure no retry can mend."""


class _FailedWithDetails(TenutoError):
    def __init__(self, message: str, details: FailureDetails) -> None:
        super().__init__(message)
        self._details = details

    @property
    def details(self) -> FailureDetails:
        """The recorded failure, with its causes."""
        return self._details


class TaskFailedError(_FailedWithDetails):
    """An activity or a child workflow failed for good; raised at the `yield` or `await` that waits for it."""


class TaskCancelledError(TenutoError):
    """The workflow waits for a timer that it cancelled itself, and that therefore never fires."""


class ActivityCancelled(TenutoError):
    """Nobody waits for this run of the activity any more; raised by `raise_if_cancelled`, to end the activity."""


class WorkflowFailed(_FailedWithDetails):
    """The workflow that a client waited for failed or was terminated.

    Args:
        message: names the instance and its final status.
        details: the recorded failure.
        instance_id: the instance.
    """

    def __init__(self, message: str, details: FailureDetails, *, instance_id: str = "") -> None:
        super().__init__(message, details)
        self.instance_id = instance_id


class NonDeterminismError(TenutoError):
    """Replay asked for something else than history records.

    Args:
        code: `UNEXPECTED_ACTIVITY` where one activity is recorded and another was called, `NON_DETERMINISTIC` for
            every other difference.
        recorded: the operation in history, or what history has instead of one.
        attempted: what the code asked for instead.
        instance_id: the instance that stalls.
        event_id: the operation's number in its execution, counted from 1; 0 where none applies.

    Its text is `report`: what differs, side by side with its neighbours and their lines of code, likely causes, and
    what to do (docs/determinism-errors.md).
    """

    def __init__(self, code: str, *, recorded: str, attempted: str, instance_id: str = "", event_id: int = 0) -> None:
        super().__init__(code)
        self.code = code
        self.recorded = recorded
        self.attempted = attempted
        self.instance_id = instance_id
        self.event_id = event_id
        lines = [f"{code}: {_DETERMINISM_TEXTS[code]}"]
        if instance_id:
            lines.append(f"  instance:  {instance_id}" + (f", operation {event_id}" if event_id else ""))
        self.report = "\n".join([*lines, f"  recorded:  {recorded}", f"  attempted: {attempted}"])

    def __str__(self) -> str:
        return self.report


class UnreadableHistory(TenutoError, ValueError):
    """An exported history is not of the documented form.

    Args:
        message: names the file, the place in it, and what to do.
        source: the file, or what else it was read from.
    """

    def __init__(self, message: str, *, source: str = "") -> None:
        super().__init__(message)
        self.source = source


class ReplayFailed(TenutoError, AssertionError):
    """Today's code does not fit the recorded histories that a test gave it; the message is the report."""


class GuardViolation(TenutoError):
    """Workflow code called something that answers otherwise, or acts once more, each time it is replayed.

    The call was not made, and nothing of its turn is recorded: with mended code the instance goes on.

    Args:
        call: what was called, for example `time.time()`.
        what: what that is, for example "a clock".
        place: the user's line, as "path:line".
        function: the function that line is in; empty where not known.
        workflow: the workflow function, as "name (path:line)"; empty where not known.
        instead: what to use instead.
        rule: the linter's rule that says why.
        instance_id: the instance that stalls.
    """

    def __init__(
        self,
        call: str,
        *,
        what: str,
        place: str,
        function: str = "",
        workflow: str = "",
        instead: str,
        rule: str,
        instance_id: str = "",
    ) -> None:
        self.call = call
        self.what = what
        self.place = place
        self.function = function
        self.workflow = workflow
        self.instead = instead
        self.rule = rule
        self.instance_id = instance_id
        next_step = "change the code, restart its app, then let the instance go on"
        if instance_id:
            next_step += f": tenuto workflow resume {quote(instance_id)}"
        super().__init__(f"{GUARD_REFUSED}: {self.finding}\n  next:      {next_step}")

    @property
    def finding(self) -> str:
        """What was found and what to use instead, as several lines; no word on what becomes of the turn."""
        lines = [f"Workflow code calls {self.call}: {self.what}"]
        if self.instance_id:
            lines.append(f"  instance:  {self.instance_id}")
        lines.append(f"  at:        {self.place}" + (f", in {self.function}" if self.function else ""))
        if self.workflow:
            lines.append(f"  workflow:  {self.workflow}")
        lines.append(f"  instead:   {self.instead}")
        lines.append(f"  why:       tenuto explain {self.rule}")
        return "\n".join(lines)


class WaitTimeout(TenutoError, TimeoutError):
    """The instance did not reach the awaited status in time; it goes on running, and waiting again is safe."""


class RequestError(TenutoError):
    """A client's request was not answered with success.

    Args:
        message: what happened and what to do, as the engine says it.
        instance_id: the instance concerned, or empty.
    """

    def __init__(self, message: str, *, instance_id: str = "") -> None:
        super().__init__(message)
        self.instance_id = instance_id


class InvalidRequest(RequestError, ValueError):
    """The request is wrong in itself; repeating it unchanged never helps."""


class AccessDenied(RequestError, PermissionError):
    """The engine asks for a token, or does not accept this one (`TENUTO_TOKEN`, `TENUTO_TOKEN_FILE`)."""

    __str__ = Exception.__str__


class InstanceNotFound(RequestError, LookupError):
    """No instance has this id: it never existed, or was purged."""


class InstanceExists(RequestError):
    """The instance id is taken, and the reuse policy does not allow to replace that instance."""


class PreconditionFailed(RequestError):
    """The instance's status does not allow this request."""


class LimitExceeded(RequestError):
    """A limit of the engine, named in the message, was reached."""


class EngineUnavailable(RequestError, ConnectionError):
    """No engine answered and nothing was executed; repeating the request is safe."""

    __str__ = Exception.__str__


class OutcomeUnknown(RequestError):
    """The engine was lost before it answered: the request may have been executed.

    Look at the instance's state before repeating the request.
    """


class WorkflowSignal(BaseException):
    """Control flow between the SDK and workflow code. Not an `Exception`, so that user code cannot swallow it."""
