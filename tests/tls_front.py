"""TLS in front of a server that has none: the servers in the wheels are built without it."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import trustme


class Certificates:
    """An authority of its own, a certificate for the servers, and one for clients, as files.

    `options`: what a URL needs to use them.
    """

    def __init__(self, folder: Path, *, host: str = "127.0.0.1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.authority = folder / "ca.pem"
        self.server = folder / "server.pem"
        self.certificate = folder / "client.pem"
        self.key = folder / "client.key"
        authority.cert_pem.write_to_path(str(self.authority))
        authority.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(str(self.server))
        client = authority.issue_cert("engine@example.org")
        client.cert_chain_pems[0].write_to_path(str(self.certificate))
        client.private_key_pem.write_to_path(str(self.key))

    @property
    def options(self) -> str:
        return f"ssl_ca_certs={self.authority}&ssl_certfile={self.certificate}&ssl_keyfile={self.key}"


class TlsFront:
    """Listens with TLS on a port, and passes on to a server's socket; clients must show a certificate.

    Its loop runs in a thread of its own, so that tests with and without a loop may use it.
    """

    def __init__(self, socket: Path, certificates: Certificates, *, port: int) -> None:
        self._socket = socket
        self._certificates = certificates
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[object]] = set()
        self._server: asyncio.Server

    def __enter__(self) -> TlsFront:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *_exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._certificates.authority))
        context.load_cert_chain(str(self._certificates.server))
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writers = [writer]
        try:
            upstream, to_upstream = await asyncio.open_unix_connection(str(self._socket))
            writers.append(to_upstream)
            await asyncio.gather(_pump(reader, to_upstream), _pump(upstream, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for each in writers:
                each.close()
                with suppress(OSError):
                    await each.wait_closed()

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()
