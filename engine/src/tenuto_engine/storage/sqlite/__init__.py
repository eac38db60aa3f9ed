"""The embedded store: one SQLite file, write-ahead log, fsync before the answer.

One engine has it open at a time (`store` holds a lock beside the file). The schema is in `migrations/`, every
statement in `queries.sql`.
"""

from tenuto_engine.storage.sqlite.audit import SqliteAudit
from tenuto_engine.storage.sqlite.gate import WriteGate
from tenuto_engine.storage.sqlite.leases import SqliteLeaseStore
from tenuto_engine.storage.sqlite.store import SqliteStore

__all__ = ["SqliteAudit", "SqliteLeaseStore", "SqliteStore", "WriteGate"]
