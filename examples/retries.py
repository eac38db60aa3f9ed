"""Retries: the engine tries a failed activity again, by a policy, and keeps the time between attempts durably.

Waiting for the next attempt costs nothing and survives every crash. An error that no retry can mend ends the call at
once: raise `NonRetryableError`, or name the class in the policy.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import tenuto as wf

wfr = wf.WorkflowRuntime()

PATIENT = wf.RetryPolicy(
    first_retry_interval=timedelta(milliseconds=100),
    backoff_coefficient=2,
    max_retry_interval=timedelta(seconds=10),
    max_number_of_attempts=5,
    jitter=0.2,
    non_retryable_errors=[PermissionError],
)


class CardDeclined(wf.NonRetryableError):
    """The bank said no; asking again does not change its mind."""


@wfr.workflow
def pay(ctx: wf.DaprWorkflowContext, card: str) -> Generator[Any, Any, str]:
    """Charge a card; a declined one is an answer, not a failure of the workflow."""
    try:
        receipt: str = yield ctx.call_activity(charge, input=card)
    except wf.TaskFailedError as failed:
        if failed.details.matches("CardDeclined"):
            return f"declined: {failed.details.message}"
        raise
    return receipt


@wfr.activity(retry_policy=PATIENT, start_to_close_timeout=timedelta(seconds=30))
def charge(ctx: wf.WorkflowActivityContext, card: str) -> str:
    """Ask a bank that is busy twice. The idempotency key tells the bank that all attempts are one payment."""
    if card == "expired":
        raise CardDeclined("the card has expired")
    if ctx.attempt < 3:
        raise ConnectionError(f"the bank is busy (attempt {ctx.attempt})")
    return f"receipt for {card} after {ctx.attempt} attempts"


def main() -> None:
    """Pay with a good card and with an expired one."""
    with wfr, wf.WorkflowClient() as client:
        for card in ("visa", "expired"):
            instance_id = client.schedule_new_workflow(pay, input=card)
            print(card, "->", client.wait_for_workflow_completion(instance_id).result())


if __name__ == "__main__":
    main()
