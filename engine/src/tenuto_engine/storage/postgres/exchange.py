"""One statement and its answer over a libpq connection, without waiting: the caller waits for the socket its own way.

The library's cursors are left out on purpose: they cancel a statement behind the caller's back and wait for that, on a
server that may not answer at all. Here nothing is repeated, nothing is cancelled, and a broken connection is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from enum import Enum
from typing import Any

import psycopg
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.storage.postgres.sql import QUERIES
from tenuto_engine.storage.postgres.wire import Param

Row = tuple[Any, ...]
Steps = Generator["Wait", None, list[Row]]

_BIGINT, _TEXT = 20, 25


class Wait(Enum):
    """What the socket must be ready for before the next step."""

    READ = 1
    BOTH = 2


class NotReady(StoreUnavailable):
    """No connection could be made ready: nothing was sent."""


class Lost(StoreUnavailable):
    """The connection broke or the answer was too late: what was sent may or may not have been executed."""


class Late(Lost):
    """The answer did not come in time."""


class Failed(StoreUnavailable):
    """The server refused the statement and undid all of it. `code`: its SQLSTATE."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def is_alive(connection: PGconn) -> bool:
    """Return whether the server has not closed the connection while it was idle, as far as it has told."""
    try:
        # The first may read the server's last words, the second sees the end behind them.
        connection.consume_input()
        connection.consume_input()
    except psycopg.Error:
        return False
    return connection.status == ConnStatus.OK


def ask(connection: PGconn, prepared: set[str], query: str, params: Sequence[Param]) -> Steps:
    """Execute a named query, prepared at its first use on this connection; return its rows.

    Raises:
        Failed, Lost: see there. After either the connection may be unusable: close it unless the failure is known.
    """
    name = query.encode()
    try:
        if query not in prepared:
            connection.send_prepare(name, QUERIES[query].encode())
            yield from _receive(connection)
            prepared.add(query)
        connection.send_query_prepared(name, params, param_formats=[1] * len(params), result_format=1)
        results = yield from _receive(connection)
    except psycopg.Error as error:
        raise Lost(f"the connection to PostgreSQL broke: {_one_line(str(error))}") from error
    return [row for result in results for row in _rows(result)]


def _receive(connection: PGconn) -> Generator[Wait, None, list[PGresult]]:
    """Send what is buffered; return all results of one statement."""
    while connection.flush():
        yield Wait.BOTH
        # A server may answer with an error, and stop reading, before it has everything.
        connection.consume_input()
    results: list[PGresult] = []
    while True:
        while connection.is_busy():
            yield Wait.READ
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            break
        results.append(result)
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise _fault(result)
    return results


def _fault(result: PGresult) -> Failed | Lost:
    def field(which: DiagnosticField) -> str:
        return (result.error_field(which) or b"").decode(errors="replace")

    severity = field(DiagnosticField.SEVERITY_NONLOCALIZED)
    code = field(DiagnosticField.SQLSTATE)
    message = _one_line(field(DiagnosticField.MESSAGE_PRIMARY) or result.error_message.decode(errors="replace"))
    if severity != "ERROR":
        # A session that ends while it waits for a replica has committed already.
        return Lost(f"PostgreSQL ended the connection: {message}")
    return Failed(f"PostgreSQL refused: {message} (SQLSTATE {code})", code)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _read_bigint(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


def _read_text(value: bytes) -> str:
    return value.decode()


def _read_bytes(value: bytes) -> bytes:
    return bytes(value)


_READERS: dict[int, Callable[[bytes], Any]] = {_BIGINT: _read_bigint, _TEXT: _read_text}


def _rows(result: PGresult) -> list[Row]:
    readers = [_READERS.get(result.ftype(column), _read_bytes) for column in range(result.nfields)]
    rows: list[Row] = []
    for row in range(result.ntuples):
        values = (result.get_value(row, column) for column in range(len(readers)))
        rows.append(
            tuple(None if value is None else read(value) for read, value in zip(readers, values, strict=True))
        )  # fmt: skip
    return rows
