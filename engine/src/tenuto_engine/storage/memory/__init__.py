"""The reference model: a store in this process's memory, plain enough to be believed.

Every other driver is compared with it. It delivers durability D0: what it holds dies with the process, but outlives
the store object, so that tests can stop an engine and open another on the same `MemoryState`.
"""

from tenuto_engine.storage.memory.audit import MemoryAudit
from tenuto_engine.storage.memory.leases import MemoryLeaseStore
from tenuto_engine.storage.memory.notifier import MemoryNotifier
from tenuto_engine.storage.memory.state import MemoryState
from tenuto_engine.storage.memory.store import MemoryStore

__all__ = ["MemoryAudit", "MemoryLeaseStore", "MemoryNotifier", "MemoryState", "MemoryStore"]
