"""Calls with the HTTP transport, and its peers: a TLS server and a proxy."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from captchahub._http.happy_eyeballs import Resolve
from captchahub._http.network import Network
from captchahub._http.transport import MAX_IDLE, HttpTransport, Transport
from captchahub.errors import ProviderError
from captchahub.provider import Reply, Request
from captchahub.settings import HttpSettings

__all__ = ["KINDS", "TlsServer", "connect_proxy", "failure", "new_transport", "send"]

# ``make test`` sets this to one of them; the other one then has the tests of hubs.
KINDS = tuple(os.environ.get("CAPTCHAHUB_TRANSPORTS", "requests fast").split())

# Which transport the calls below are made with; the fixture ``transport_kind`` sets it.
kind: str = "requests"


def new_transport(
    settings: HttpSettings | None = None,
    *,
    network: Network | None = None,
    max_idle: float = MAX_IDLE,
    resolve: Resolve = socket.getaddrinfo,
) -> Transport:
    """Return a transport of the kind that is tested."""
    chosen = settings or HttpSettings()
    if kind == "requests":
        return HttpTransport("test", chosen, network=network, max_idle=max_idle, resolve=resolve)
    from captchahub._http.fast_transport import FastTransport  # noqa: PLC0415 - aiohttp may be missing

    return FastTransport("test", chosen, network=network, max_idle=max_idle, resolve=resolve)


def send(
    request: Request | str,
    *,
    settings: HttpSettings | None = None,
    timeout: float = 5.0,
    times: int = 1,
    resolve: Resolve = socket.getaddrinfo,
) -> Reply:
    """Send a request ``times`` times, and return the last reply."""
    asked = Request.post_json(request, {"api_token": "s3cret"}) if isinstance(request, str) else request

    async def run() -> Reply:
        transport = new_transport(settings, resolve=resolve)
        try:
            for _ in range(times - 1):
                await transport.send(asked, timeout=timeout)
            return await transport.send(asked, timeout=timeout)
        finally:
            await transport.aclose()

    return asyncio.run(run())


def failure(
    request: Request | str,
    *,
    settings: HttpSettings | None = None,
    timeout: float = 5.0,
    resolve: Resolve = socket.getaddrinfo,
) -> ProviderError:
    """Return the error that sending a request raises."""
    with pytest.raises(ProviderError) as caught:
        send(request, settings=settings, timeout=timeout, resolve=resolve)
    return caught.value


class TlsServer:
    """A server with a certificate of a private CA."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[bytes] = []
        self.drips = False
        self.authority = folder / "authority.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Its annotation also names a class of pyOpenSSL, which is not installed.
        authority.issue_cert("localhost", "service.test").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        plain = socket.create_server(("127.0.0.1", 0))
        self._socket = context.wrap_socket(plain, server_side=True)
        self.port = self._socket.getsockname()[1]
        self.url = f"https://localhost:{self.port}/api"
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._is_over.is_set():
            with suppress(OSError):
                connected, _ = self._socket.accept()
                with connected:
                    self._reply(connected)

    def _reply(self, connected: socket.socket) -> None:
        request = b""
        # Leaving a part of the request unread would reset the connection.
        while not request.endswith(b"}") and (more := connected.recv(65536)):
            request += more
        if request:
            self.requests.append(request)
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}":
                connected.send(bytes([byte]))
                if self.drips and self._is_over.wait(0.05):
                    break

    def close(self) -> None:
        self._is_over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@contextmanager
def connect_proxy(answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Generator[tuple[str, list[str]]]:
    """Run a proxy for one connection, and yield its address and the request lines that it receives.

    It connects every host name to this machine, if its answer contains a status 200.
    """
    asked: list[str] = []

    def serve(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            head = client.recv(65536).decode()
            asked.append(head.splitlines()[0])
            if b" 200 " not in answer:
                client.sendall(answer)
                return
            port = int(head.split()[1].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as target:
                client.sendall(answer)
                back = threading.Thread(target=pump, args=(target, client))
                back.start()
                pump(client, target)
                back.join(5)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield f"http://user:pa55@127.0.0.1:{server.getsockname()[1]}", asked
        thread.join(5)


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until either end is closed."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
