"""Checked by mypy and pyright, never run: what the types of results are."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

import tenuto as wf

runtime = wf.WorkflowRuntime()


@dataclass
class Receipt:
    number: int


@runtime.activity
def charge(ctx: wf.WorkflowActivityContext, amount: int) -> Receipt:
    return Receipt(amount)


@runtime.activity(name="refund-it", retry_policy=None)
async def refund(ctx: wf.WorkflowActivityContext, receipt: Receipt) -> bool:
    return True


@runtime.workflow
def generated(ctx: wf.WorkflowContext, amount: int) -> Generator[wf.Task[Any], Any, str]:
    receipt: Receipt = yield ctx.call_activity(charge, input=amount)
    return str(receipt)


@runtime.workflow(name="awaited")
async def awaited(ctx: wf.WorkflowContext, amount: int) -> int:
    call = ctx.call_activity(charge, input=amount)
    checked = assert_type(call, wf.Task[Receipt])
    assert_type(await checked, Receipt)
    assert_type(await ctx.call_activity(charge, input=amount), Receipt)
    assert_type(await ctx.call_activity(refund, input=Receipt(1)), bool)
    assert_type(await ctx.call_activity("by-name", result_type=int), int)
    # NB: mypy sees Any here, because of the Any that a generator's annotation cannot avoid; pyright sees str.
    text: str = await ctx.call_child_workflow(generated, input=1)
    assert text
    assert_type(await ctx.call_child_workflow(awaited, input=1), int)
    assert_type(await ctx.call_child_workflow("by-name", result_type=Receipt), Receipt)
    assert_type(await wf.when_all([ctx.call_activity(charge, input=n) for n in range(3)]), list[Receipt])
    winner = await wf.when_any([ctx.call_activity(charge, input=1), ctx.call_activity(charge, input=2)])
    assert_type(winner.get_result(), Receipt)
    assert_type(await ctx.create_timer(timedelta(seconds=1)), None)
    return 1


# Decorated functions keep their own types.
assert_type(charge(..., 1), Receipt)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
