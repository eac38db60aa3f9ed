"""The Lua scripts: read from data files once, put together, known to the server by their SHA-1.

A script is the files named here in order; `common.lua` begins each, so shared checks exist once.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

import msgspec

_LUA = files("tenuto_engine.storage.redis").joinpath("lua")
_APPEND = ("common", "append_part")
_CREATE = (*_APPEND, "create_part")


class Script(msgspec.Struct, frozen=True):
    """One script: its text, and the name under which EVALSHA runs it."""

    source: str
    sha: str


def _compose(*names: str) -> Script:
    source = "\n".join(_LUA.joinpath(f"{name}.lua").read_text("utf-8") for name in names)
    # SHA-1 is Redis' own name for a script, not a protection.
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


APPEND = _compose(*_APPEND, "append")
CREATE = _compose(*_CREATE, "create")
COMMIT = _compose(*_CREATE, "commit")
FIRE_REMINDER = _compose(*_APPEND, "fire_reminder")
DROP_REMINDER = _compose("common", "drop_reminder")
REPLACE_ACTIVITY = _compose("common", "replace_activity")
PURGE = _compose(*_CREATE, "purge")
DELIVER = _compose(*_CREATE, "deliver")
REMOVE_OUTBOX = _compose("common", "remove_outbox")
OPERATIONS = (
    APPEND, CREATE, COMMIT, FIRE_REMINDER, DROP_REMINDER, REPLACE_ACTIVITY, PURGE, DELIVER, REMOVE_OUTBOX,
)  # fmt: skip

READ_HISTORY = _compose("read_history")
TAKE_HINTS = _compose("take_hints")
COUNT_KINDS = _compose("count_kinds")
LAYOUT = _compose("common", "layout")
ACQUIRE = _compose("common", "acquire")
RENEW = _compose("common", "renew")
RELEASE = _compose("common", "release")
HEARTBEAT = _compose("common", "heartbeat")
MEMBERS = _compose("common", "members")
