"""Context variables in one place."""

from contextvars import ContextVar

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


tenant: ContextVar[str] = ContextVar("tenant", default="")


@wfr.activity
def tenanted(ctx: wf.WorkflowActivityContext, job: dict) -> str:
    tenant.set(job["tenant"])  # near miss: in an activity
    return tenant.get()  # near miss: the same


class Settings(dict):
    def set(self, name: str, value: str) -> None:
        self[name] = value


@wfr.workflow
async def passed(ctx: wf.WorkflowContext, job: dict) -> None:
    settings = Settings()
    settings.set("tenant", job["tenant"])  # near miss: an object of this execution
    await ctx.call_activity(tenanted, input=settings)
