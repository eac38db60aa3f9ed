"""TEN164: waiting through asyncio's sets, or in order of completion."""

from __future__ import annotations

from tenuto._lint.rule import Rule, Use

RULE = Rule(
    id="TEN164",
    name="asyncio-wait",
    message="{text}() waits in an order that no history holds",
    why="asyncio.wait answers with sets, whose order differs in each process; as_completed follows the clock of the "
    "process.",
    breaks="The operations that follow are asked for in another order in a replay; and tasks of a workflow are no "
    "futures of asyncio, so that the call fails.",
    instead="Use wf.when_any for the task that history records first, and wf.when_all for all results in the order "
    "given.",
    calls={"asyncio.wait": Use(), "asyncio.as_completed": Use()},
)
