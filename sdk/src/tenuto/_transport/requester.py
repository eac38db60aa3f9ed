"""Who a client's commands are said to come from, where the program does not say."""

from __future__ import annotations

import getpass
import os
import socket


def default_requester() -> str:
    """TENUTO_REQUESTED_BY, else the user and host of this process; it is recorded with commands that change a fate."""
    said = os.environ.get("TENUTO_REQUESTED_BY")
    if said:
        return said
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container's user often has no name.
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"
