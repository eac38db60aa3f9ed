"""The state store on Redis 6.2 or later and Valkey: one Lua script per operation, one write per group of operations.

`keys` names everything, `requests` and `answers` translate operations and replies, `link` is the connection, `server`
checks what is at its other end, `lua/` holds the scripts. Policy is elsewhere: what is asked is done or refused.
"""

from tenuto_engine.storage.redis.audit import RedisAudit, audit_redis
from tenuto_engine.storage.redis.leases import RedisLeaseStore
from tenuto_engine.storage.redis.notifier import RedisNotifier
from tenuto_engine.storage.redis.store import RedisStore

__all__ = ["RedisAudit", "RedisLeaseStore", "RedisNotifier", "RedisStore", "audit_redis"]
