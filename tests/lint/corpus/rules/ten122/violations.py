"""The system's entropy."""

import os
import secrets
import ssl
from random import Random, SystemRandom

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def password(ctx: wf.WorkflowContext, user: dict):
    secret = secrets.token_hex()  # violation: TEN122: a token
    yield ctx.call_activity(act, input={**user, "secret": secret})
    return "".join(secrets.choice("abc") for _ in range(8))  # violation: TEN122: in a generator expression


@wfr.workflow
async def keyed(ctx: wf.WorkflowContext, user: dict) -> None:
    key = os.urandom(32)  # violation: TEN122: bytes of the system
    salt = ssl.RAND_bytes(16)  # violation: TEN122: bytes of OpenSSL
    await ctx.call_activity(act, input={"key": key.hex(), "salt": salt.hex()})


def generator() -> Random:
    return Random()  # violation(generator): TEN122: no seed, in a helper


@wfr.workflow
def drawn(ctx: wf.WorkflowContext, user: dict):
    if generator().random() < 0.5:  # via(generator)
        yield ctx.call_activity(act, input=user)
    return SystemRandom().randint(1, 6)  # violation: TEN122: imported from random
