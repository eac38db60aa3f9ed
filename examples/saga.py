"""Saga: several bookings that must all stand or all be undone.

Each completed step leaves behind how to compensate it. When a later step fails for good, the compensations run in
reverse order. They are ordinary activities, recorded like all others: a crash in the middle of undoing goes on undoing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()

# A compensation must succeed in the end, so it is tried for ever.
UNTIL_DONE = wf.RetryPolicy(
    first_retry_interval=timedelta(milliseconds=100),
    backoff_coefficient=2,
    max_retry_interval=timedelta(minutes=1),
    max_number_of_attempts=None,
)


@dataclass
class Trip:
    """What is to be booked. A `city` without rooms makes the second booking fail."""

    traveller: str
    city: str


@dataclass
class Outcome:
    """What became of it: what stands, and what was undone, in that order."""

    booked: list[str]
    undone: list[str]
    reason: str = ""


@wfr.workflow
async def book_trip(ctx: wf.WorkflowContext, trip: Trip) -> Outcome:
    """Book flight, hotel and car; undo what is booked if one of them cannot be had."""
    booked: list[str] = []
    try:
        for what in ("flight", "hotel", "car"):
            ctx.set_custom_status(f"booking {what}")
            booked.append(await ctx.call_activity(book, input=f"{what} to {trip.city}"))
    except wf.TaskFailedError as failed:
        ctx.set_custom_status("undoing")
        undone = [
            await ctx.call_activity(cancel, input=reservation, retry_policy=UNTIL_DONE)
            for reservation in reversed(booked)
        ]
        return Outcome(booked=[], undone=undone, reason=failed.details.message)
    return Outcome(booked=booked, undone=[])


@wfr.activity
def book(ctx: wf.WorkflowActivityContext, what: str) -> str:
    """Book one thing; a real one would pass `ctx.idempotency_key` on, so that no retry books twice."""
    if what == "hotel to Nowhere":
        raise wf.NonRetryableError("no room is free in Nowhere")
    return f"{what} #{ctx.task_id}"


@wfr.activity
def cancel(ctx: wf.WorkflowActivityContext, reservation: str) -> str:
    """Undo one booking; it fails once, to show that undoing is retried."""
    if ctx.attempt == 1:
        raise ConnectionError("the agency does not answer")
    return reservation


def main() -> None:
    """Book a trip that works and one that does not."""
    with wfr, wf.WorkflowClient() as client:
        for city in ("Vienna", "Nowhere"):
            instance_id = client.schedule_new_workflow(book_trip, input=Trip("Ada", city))
            print(city, "->", client.wait_for_workflow_completion(instance_id).result(Outcome))


if __name__ == "__main__":
    main()
