"""Human approval with a timeout: a workflow waits for a person, for days if it must, and goes on without one.

While it waits, it holds no thread, no memory and no connection. A decision that arrives before the workflow asks for it
is kept. If nobody decides in time, the wait raises `TimeoutError`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@dataclass
class Purchase:
    """What someone wants to buy, and how long the manager may think about it."""

    item: str
    price: int
    patience_seconds: float = 3 * 24 * 3600


@dataclass
class Decision:
    """What a person answered."""

    approved: bool
    by: str


@wfr.workflow
async def approve_purchase(ctx: wf.WorkflowContext, purchase: Purchase) -> str:
    """Approve what is cheap, ask a manager about the rest, and reject what the manager leaves lying."""
    if purchase.price < 100:
        return await ctx.call_activity(order, input=purchase)
    ctx.set_custom_status("waiting for a decision")
    try:
        decision: Decision = await ctx.wait_for_external_event(
            "decision", timeout=timedelta(seconds=purchase.patience_seconds), data_type=Decision
        )
    except TimeoutError:
        return f"{purchase.item}: rejected, nobody decided in time"
    if not decision.approved:
        return f"{purchase.item}: rejected by {decision.by}"
    ctx.set_custom_status(f"approved by {decision.by}")
    return await ctx.call_activity(order, input=purchase)


@wfr.activity
def order(ctx: wf.WorkflowActivityContext, purchase: Purchase) -> str:
    """Order it."""
    return f"{purchase.item}: ordered for {purchase.price}"


def main() -> None:
    """Ask for a laptop: the decision is this program's argument, `yes` or `no`; anything else waits for the timeout."""
    answer = sys.argv[1] if len(sys.argv) > 1 else "yes"
    with wfr, wf.WorkflowClient() as client:
        purchase = Purchase("a laptop", 1500, patience_seconds=1)
        instance_id = client.schedule_new_workflow(approve_purchase, input=purchase)
        if answer in {"yes", "no"}:
            client.raise_workflow_event(instance_id, "decision", data=Decision(answer == "yes", "Grace"))
        print(client.wait_for_workflow_completion(instance_id).result())


if __name__ == "__main__":
    main()
