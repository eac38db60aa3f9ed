"""TEN142: clients of databases, queues and cloud services."""

from __future__ import annotations

from tenuto._lint.rule import Rule, Use
from tenuto._lint.view import Call

# Everything in these is made to talk to a server or a file.
_LIBRARIES = (
    "aioboto3", "aiobotocore", "aiokafka", "aiomysql", "aiopg", "aioredis", "aiosqlite", "aio_pika", "asyncpg", "boto3",
    "botocore.session", "cassandra.cluster", "clickhouse_connect", "confluent_kafka", "cx_Oracle", "duckdb",
    "elasticsearch", "firebase_admin", "google.cloud", "kafka", "kombu", "mariadb", "motor", "mysql.connector",
    "MySQLdb", "nats", "neo4j", "opensearchpy", "oracledb", "peewee", "pika", "psycopg", "psycopg2", "psycopg_pool",
    "pymemcache", "pymongo", "pymssql", "pymysql", "pyodbc", "redis", "snowflake.connector", "sqlite3", "supabase",
    "valkey",
)  # fmt: skip
_AZURE = (
    "azure.cosmos",
    "azure.data",
    "azure.eventhub",
    "azure.identity",
    "azure.keyvault",
    "azure.servicebus",
    "azure.storage",
)
# Expressions, types and errors of these libraries touch nothing.
_PURE = (
    "google.cloud.exceptions", "psycopg.rows", "psycopg.sql", "psycopg.types", "psycopg2.extras.Json", "psycopg2.sql",
    "pymongo.errors", "redis.exceptions", "sqlite3.Binary", "sqlite3.Row",
)  # fmt: skip
_SESSIONS = (
    "sqlalchemy.create_engine", "sqlalchemy.engine.create_engine", "sqlalchemy.ext.asyncio.AsyncConnection",
    "sqlalchemy.ext.asyncio.AsyncEngine", "sqlalchemy.ext.asyncio.AsyncSession", "sqlalchemy.Connection",
    "sqlalchemy.ext.asyncio.async_sessionmaker", "sqlalchemy.ext.asyncio.create_async_engine", "sqlalchemy.Engine",
    "sqlalchemy.orm.Session", "sqlalchemy.orm.scoped_session", "sqlalchemy.orm.sessionmaker", "sqlmodel.Session",
    "sqlmodel.create_engine",
)  # fmt: skip


def _is_no_error(call: Call) -> bool:
    return not call.name.endswith(("Error", "Exception", "Warning"))


_USE = Use(when=_is_no_error)
_CLIENTS = (
    "dapr.ext.workflow.DaprWorkflowClient", "tenuto.DaprWorkflowClient", "tenuto.WorkflowClient",
    "tenuto.aio.WorkflowClient", "tenuto.client.DaprWorkflowClient", "tenuto.client.WorkflowClient",
)  # fmt: skip
_ASK = Use(
    message="{text}() asks the engine past the workflow's history",
    instead="Start children by ctx.call_child_workflow, raise events by ctx.raise_event; ask for anything else in an "
    "activity.",
)

RULE = Rule(
    id="TEN142",
    name="database-call",
    message="{text}() talks to a database or another service",
    why="What it reads is the state of now, what it writes is written again, and neither is recorded.",
    breaks="Every replay reads what has changed since and writes a second time; another row takes another branch than "
    "history records.",
    instead="Do it in an activity, whose result is recorded once: yield ctx.call_activity(load_order, input=order_id).",
    calls={
        **{f"{name}.*": _USE for name in (*_LIBRARIES, *_AZURE, *_SESSIONS)},
        **{f"{name}.*": _ASK for name in _CLIENTS},
        **{f"{name}.*": None for name in _PURE},
        **dict.fromkeys(_PURE, None),
    },
    extensible=True,
)
