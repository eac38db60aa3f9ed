"""Seeded generators, and secrets where they belong."""

import hashlib
import secrets
from random import Random

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def make_secret(ctx: wf.WorkflowActivityContext, user: dict) -> str:
    return secrets.token_urlsafe()  # near miss: in an activity


@wfr.workflow
def password(ctx: wf.WorkflowContext, user: dict):
    secret = yield ctx.call_activity(make_secret, input=user)
    equal = secrets.compare_digest(secret, user["secret"])  # near miss: compares
    rng = Random(user["id"])  # near miss: a seed by position
    other = Random(x=ctx.instance_id)  # near miss: a seed by keyword
    digest = hashlib.blake2b(secret.encode()).hexdigest()  # near miss: a function of its argument
    yield ctx.call_activity(act, input={"n": rng.random(), "m": other.random(), "digest": digest, "equal": equal})
