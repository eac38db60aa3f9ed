"""Parts of the same modules that depend on nothing but their arguments, and the context's own ways."""

import calendar
import csv
import hashlib
import hmac
import io
import json
import os.path
import posixpath
import random
import re
import shlex
import time
import urllib.parse
import uuid
import zlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath

import httpx
import numpy as np
import pandas as pd

import tenuto as wf

wfr = wf.WorkflowRuntime()
NAMESPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
LAUNCH = datetime(2024, 1, 1, tzinfo=UTC)
VAT = {"de": Decimal("0.19"), "fr": Decimal("0.20")}
NUMBER = re.compile(r"\d+")


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def dates(ctx: wf.WorkflowContext, order: dict):
    if ctx.current_utc_datetime < LAUNCH:  # near miss: a constant moment of the module
        yield ctx.create_timer(LAUNCH)
    now = ctx.current_utc_datetime  # near miss: the replayed clock
    christmas = datetime(now.year, 12, 24, tzinfo=UTC)  # near miss: constructed, not asked
    ordered = datetime.fromisoformat(order["at"])  # near miss: parsed
    shipped = datetime.strptime(order["shipped"], "%Y-%m-%d").replace(tzinfo=UTC)  # near miss: parsed
    stamp = datetime.fromtimestamp(order["epoch"], tz=UTC)  # near miss: a given moment in a given zone
    day = datetime.combine(date(2024, 2, 29), datetime.min.time())  # near miss: combined of constants
    label = time.strftime("%Y-%m", time.gmtime(order["epoch"]))  # near miss: explicit arguments
    epoch = calendar.timegm(ordered.timetuple())  # near miss: arithmetic
    week = pd.Timestamp("2024-01-01") + pd.Timedelta(days=7)  # near miss: a constant timestamp
    yield ctx.create_timer(now + timedelta(hours=1))
    return [str(value) for value in (christmas, shipped, stamp, day, label, epoch, week, now.date())]


@wfr.workflow
def numbers(ctx: wf.WorkflowContext, order: dict):
    rng = ctx.random()
    sample = rng.sample(range(100), 3)  # near miss: the execution's generator
    ctx.random().shuffle(sample)  # near miss: the same, in one expression
    seeded = random.Random(order["seed"])  # near miss: seeded by the input
    dice = seeded.randint(1, 6)  # near miss: drawn from it
    fixed = random.Random(42).random()  # near miss: seeded by a constant
    derived = random.Random(f"{ctx.instance_id}/price").choice([1, 2, 3])  # near miss: seeded by the instance
    noise = np.random.default_rng(7).normal()  # near miss: a seeded generator of numpy
    mean = float(np.mean([dice, fixed, derived, noise]))  # near miss: arithmetic of numpy
    return (yield ctx.call_activity(act, input={"sample": sample, "mean": mean}))


@wfr.workflow
def identities(ctx: wf.WorkflowContext, order: dict):
    order_id = ctx.new_uuid()  # near miss: the context's
    customer = uuid.uuid5(NAMESPACE, order["email"])  # near miss: derived from its arguments
    old = uuid.uuid3(NAMESPACE, order["email"])  # near miss: the same
    parsed = uuid.UUID(order["uuid"])  # near miss: parsed
    shard = int(hashlib.sha256(order["email"].encode()).hexdigest(), 16) % 16  # near miss: a stable hash
    bucket = zlib.crc32(order["email"].encode()) % 8  # near miss: a checksum
    signature = hmac.new(b"key", order["id"].encode(), "sha256").hexdigest()  # near miss: a function of its arguments
    if not isinstance(parsed, uuid.UUID):  # near miss: only the class
        return None
    ids = [str(value) for value in (order_id, customer, old, shard, bucket, signature)]
    return (yield ctx.call_activity(act, input={"ids": ids}))


@wfr.workflow
def texts(ctx: wf.WorkflowContext, order: dict):
    config = json.loads(order["config"])  # near miss: parses a string
    rows = list(csv.reader(io.StringIO(order["csv"])))  # near miss: a file in memory, of the input
    buffer = io.BytesIO()  # near miss: memory
    buffer.write(order["csv"].encode())  # near miss: writes to memory
    path = os.path.join("out", os.path.basename(order["file"]))  # near miss: text about paths
    name = PurePosixPath(order["file"]).with_suffix(".pdf").name  # near miss: a pure path
    parent = posixpath.dirname(order["file"])  # near miss: text about paths
    host = urllib.parse.urlparse(order["url"]).hostname  # near miss: parses, does not fetch
    url = httpx.URL(order["url"]).copy_with(path="/v2")  # near miss: a URL is only a value
    command = shlex.quote(order["file"])  # near miss: quotes, does not run
    digits = NUMBER.findall(order["id"])  # near miss: a compiled expression of the module
    made = {"rows": rows, "path": path, "name": name, "parent": parent, "host": host, "url": str(url)}
    return (yield ctx.call_activity(act, input={**made, **config, "command": command, "digits": digits}))


@wfr.workflow
def taxes(ctx: wf.WorkflowContext, order: dict):
    rate = VAT.get(order["country"], Decimal(0))  # near miss: a constant table that nobody changes
    total = sum(Decimal(item["price"]) for item in order["items"]) * (1 + rate)
    ctx.logger.info("total %s", total)  # near miss: silent while replaying
    return (yield ctx.call_activity(act, input={"total": str(total)}))
