"""Databases and clouds."""

import boto3
import psycopg
import redis.asyncio as redis
import sqlite3
from google.cloud import storage
from pymongo import MongoClient
from sqlalchemy import create_engine, text

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


mongo = MongoClient()
engine = create_engine("postgresql:///shop")


@wfr.workflow
def counted(ctx: wf.WorkflowContext, day: str):
    with psycopg.connect("dbname=shop") as db:  # violation(pg): TEN142: PostgreSQL
        row = db.execute("SELECT count(*) FROM orders WHERE day = %s", [day]).fetchone()  # via(pg)
    if row[0] > 0:
        yield ctx.call_activity(act, input={"n": row[0]})


@wfr.workflow
async def cached(ctx: wf.WorkflowContext, key: str) -> None:
    store = redis.Redis()  # via(redis)
    if await store.get(key) is None:  # violation(redis): TEN142: Redis, asynchronously
        await ctx.call_activity(act, input={"key": key})


def customer(name: str) -> dict:
    return mongo.shop.customers.find_one({"name": name})  # violation(mongo): TEN142: a client of the module, in a helper


@wfr.workflow
def greeted(ctx: wf.WorkflowContext, name: str):
    yield ctx.call_activity(act, input=customer(name))  # via(mongo)


@wfr.workflow
def queued(ctx: wf.WorkflowContext, job: dict):
    queue = boto3.client("sqs")  # via(sqs)
    queue.send_message(QueueUrl="q", MessageBody=job["id"])  # violation(sqs): TEN142: a queue of the cloud
    bucket = storage.Client().bucket("jobs")  # violation: TEN142: a bucket of the cloud
    yield ctx.call_activity(act, input={"bucket": bucket.name})


@wfr.workflow
def reported(ctx: wf.WorkflowContext, day: str):
    with engine.connect() as connection:  # violation(engine): TEN142: SQLAlchemy
        total = connection.execute(text("SELECT 1")).scalar()  # via(engine)
    with sqlite3.connect(":memory:") as db:  # violation(lite): TEN142: a file or not, it is a database
        db.execute("CREATE TABLE t (n)")  # via(lite)
    yield ctx.call_activity(act, input={"total": total})
