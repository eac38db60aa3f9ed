"""The state store, the lease store and the notifier on PostgreSQL 14 or later.

One group of operations is one statement: a call of the functions in `code.sql`, which keep the rules of the port.
"""

from tenuto_engine.storage.postgres.audit import PostgresAudit
from tenuto_engine.storage.postgres.leases import PostgresLeaseStore
from tenuto_engine.storage.postgres.notifier import PostgresNotifier
from tenuto_engine.storage.postgres.store import PostgresStore

__all__ = ["PostgresAudit", "PostgresLeaseStore", "PostgresNotifier", "PostgresStore"]
