"""Child workflows: a part that is a workflow of its own, with its own id, history and life.

Use one where a part has steps of its own, is worth looking at alone (`tenuto workflow get`), or would make the parent's
history long. Terminating or purging the parent covers the children that are open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()

ONCE_MORE = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=100), max_number_of_attempts=2)


@dataclass
class Order:
    """An order, whose items lie in several warehouses."""

    id: str
    items: dict[str, list[str]]


@dataclass
class Parcel:
    """What one warehouse sends."""

    warehouse: str
    items: list[str]


@wfr.workflow
async def ship_order(ctx: wf.WorkflowContext, order: Order) -> list[str]:
    """Let every warehouse ship its part at the same time; answer the tracking numbers."""
    parts = [
        ctx.call_child_workflow(ship_parcel, input=Parcel(warehouse, items), instance_id=f"{order.id}/{warehouse}")
        for warehouse, items in order.items.items()
    ]
    return await wf.when_all(parts)


@wfr.workflow
async def ship_parcel(ctx: wf.WorkflowContext, parcel: Parcel) -> str:
    """Pick the items one by one, then hand the parcel over."""
    for item in parcel.items:
        await ctx.call_activity(pick, input=item)
    return await ctx.call_activity(hand_over, input=parcel.warehouse, retry_policy=ONCE_MORE)


@wfr.activity
def pick(ctx: wf.WorkflowActivityContext, item: str) -> str:
    """Fetch an item from its shelf."""
    return item


@wfr.activity
def hand_over(ctx: wf.WorkflowActivityContext, warehouse: str) -> str:
    """Give the parcel to the carrier, who misses the first appointment."""
    if ctx.attempt == 1:
        raise TimeoutError("the carrier did not come")
    return f"{warehouse.upper()}-{ctx.task_id:04d}"


def main() -> None:
    """Ship an order from two warehouses."""
    order = Order("order-7", {"north": ["lamp", "desk"], "south": ["chair"]})
    with wfr, wf.WorkflowClient() as client:
        policy = wf.WorkflowIdReusePolicy.REPLACE_TERMINAL
        client.schedule_new_workflow(ship_order, input=order, instance_id=order.id, reuse_id_policy=policy)
        print(client.wait_for_workflow_completion(order.id).result())
        client.purge_workflow(order.id, recursive=True)


if __name__ == "__main__":
    main()
