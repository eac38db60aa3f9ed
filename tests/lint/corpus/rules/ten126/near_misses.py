"""Stable hashes, and hash() where nobody sees it."""

import hashlib
import zlib
from dataclasses import dataclass

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@dataclass(frozen=True)
class Key:
    tenant: str

    def __hash__(self) -> int:
        return hash(self.tenant)  # near miss: only dictionaries and sets ask for it


@wfr.workflow
def sharded(ctx: wf.WorkflowContext, order: dict):
    shard = zlib.adler32(order["customer"].encode()) % 8  # near miss: a checksum
    digest = hashlib.md5(order["customer"].encode(), usedforsecurity=False).digest()[0]  # near miss: a stable hash
    known = {Key(order["tenant"]): 1}
    number = hash(7)  # near miss: of a whole number
    yield ctx.call_activity(act, input={"shard": shard, "digest": digest, "n": known[Key(order["tenant"])], "k": number})


@wfr.activity
def bucket(ctx: wf.WorkflowActivityContext, name: str) -> int:
    return hash(name) % 8  # near miss: in an activity


class Password:
    def hash(self, text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()


@wfr.workflow
def signed_up(ctx: wf.WorkflowContext, user: dict):
    yield ctx.call_activity(act, input={"password": Password().hash(user["password"])})  # near miss: a method of that name
