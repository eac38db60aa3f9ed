"""One engine per file: a lock of the operating system beside the database, gone with the process that held it.

SQLite's own locks would let a second engine in between two transactions. Holding this one proves that no other
engine is alive, so leases need not run out after a crash.
"""

from __future__ import annotations

import fcntl
import os

from tenuto_engine.ports.errors import StoreRefused


class LockFile:
    """The lock `<path>.lock`, held from `acquire` to `release` or the death of the process.

    The file itself stays: removing it would let two processes hold locks on two files of the same name.
    """

    def __init__(self, path: str) -> None:
        self._path = f"{path}.lock"
        self._database = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            StoreRefused: another process holds it; the message names the process.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreRefused(
                f"{self._database} is open in another engine (process {holder}); stop it, or give this engine "
                "another file with --state-store"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
