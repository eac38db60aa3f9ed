"""Payments: sampling, jitter and tokens drawn in the workflow itself."""

from __future__ import annotations

import os
import random
import secrets
from dataclasses import dataclass
from datetime import timedelta
from random import choice as pick_one
from random import *  # noqa: F403

import numpy as np

from tenuto import RetryPolicy, WorkflowActivityContext, WorkflowContext, WorkflowRuntime, when_all

runtime = WorkflowRuntime()
PROVIDERS = ["stripe", "adyen", "klarna"]


@dataclass
class Payment:
    id: str
    cents: int


@runtime.activity(retry_policy=RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3))
def charge(ctx: WorkflowActivityContext, payment: Payment) -> str:
    return f"{payment.id}: {payment.cents}"


@runtime.activity
def review(ctx: WorkflowActivityContext, payment: Payment) -> bool:
    return payment.cents < 10_000


@runtime.workflow
async def pay(ctx: WorkflowContext, payment: Payment) -> str:
    if random.random() < 0.01:  # violation: random: a sampled review that the replay may not ask for
        await ctx.call_activity(review, input=payment)
    return await ctx.call_activity(charge, input=payment)


@runtime.workflow
async def pay_somewhere(ctx: WorkflowContext, payment: Payment) -> str:
    provider = pick_one(PROVIDERS)  # violation: random: choice under another name
    return await ctx.call_activity(f"charge_{provider}", input=payment, result_type=str)


@runtime.workflow
async def pay_with_jitter(ctx: WorkflowContext, payment: Payment) -> str:
    await ctx.create_timer(timedelta(seconds=random.uniform(0, 30)))  # violation: random: the timer's duration differs
    return await ctx.call_activity(charge, input=payment)


@runtime.workflow
async def pay_in_any_order(ctx: WorkflowContext, payments: list[Payment]) -> list[str]:
    shuffle(payments)  # violation: random: shuffle by a star import
    return await when_all([ctx.call_activity(charge, input=payment) for payment in payments])


@runtime.workflow
async def pay_with_token(ctx: WorkflowContext, payment: Payment) -> str:
    token = secrets.token_urlsafe(16)  # violation: random: made of the system's entropy
    return await ctx.call_activity("charge_with_token", input={"payment": payment, "token": token}, result_type=str)


@runtime.workflow
async def pay_with_nonce(ctx: WorkflowContext, payment: Payment) -> str:
    nonce = os.urandom(12).hex()  # violation: random: the system's entropy again
    return await ctx.call_activity("charge_with_nonce", input={"payment": payment, "nonce": nonce}, result_type=str)


@runtime.workflow
async def own_generator(ctx: WorkflowContext, payment: Payment) -> str:
    rng = random.Random()  # violation: random: without a seed it takes the system's
    if rng.randint(1, 6) == 6:
        return "free"
    return await ctx.call_activity(charge, input=payment)


@runtime.workflow
async def system_generator(ctx: WorkflowContext, payment: Payment) -> str:
    return pick_label(random.SystemRandom().random())  # violation: random: SystemRandom cannot be seeded at all


def pick_label(number: float) -> str:
    return "lucky" if number > 0.9 else "usual"


@runtime.workflow
async def forecast(ctx: WorkflowContext, payment: Payment) -> float:
    noise = np.random.normal(0.0, 1.0)  # violation: random: numpy's global generator
    rng = np.random.default_rng()  # violation: random: no seed
    return payment.cents + noise + rng.random()
