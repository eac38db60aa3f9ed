"""Context variables across waits."""

from contextvars import ContextVar

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


tenant: ContextVar[str] = ContextVar("tenant", default="")


@wfr.workflow
async def tenanted(ctx: wf.WorkflowContext, job: dict) -> None:
    tenant.set(job["tenant"])  # violation: TEN167: gone, or another's, after the next wait
    await ctx.call_activity(act, input=job)
    await ctx.call_activity(act, input={"tenant": tenant.get()})  # violation: TEN167: whoever set it last
