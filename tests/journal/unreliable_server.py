"""A network between a client and PostgreSQL that loses a message or a reply when a test wants it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class UnreliableServer:
    """Forwards the connections of ``address``, its own address, to a server."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        assert parts.hostname is not None
        self._server = parts.hostname, parts.port or 5432
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        user = parts.netloc.rpartition("@")[0]
        self.address = parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
        self._lost: bytes | None = None
        self._meanwhile: Callable[[], object] | None = None
        self._arrives = self._refuses = self._then_refuse = False
        self._copying: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def lose(
        self, message: bytes, *, then_refuse: bool = False, meanwhile: Callable[[], object] | None = None
    ) -> None:
        """End the connection instead of forwarding the next message with this in it.

        ``meanwhile`` is called before the client notices.
        """
        self._arrives, self._then_refuse, self._meanwhile = False, then_refuse, meanwhile
        self._lost = message

    def lose_reply_to(self, message: bytes, *, then_refuse: bool = False) -> None:
        """Forward the next message with this in it, and end the connection instead of replying."""
        self._arrives, self._then_refuse, self._meanwhile = True, then_refuse, None
        self._lost = message

    def accept(self) -> None:
        """Accept connections again, once the server has ended those that were lost."""
        for copying in self._copying:
            copying.join(30)
        self._refuses = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                client.close()
                continue
            server = socket.create_connection(self._server)
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            copying = threading.Thread(target=_copy, args=(server, client), daemon=True)
            copying.start()
            self._copying.append(copying)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while message := client.recv(65536):
                if self._lost is not None and self._lost in message:
                    self._lost, self._refuses = None, self._then_refuse
                    if self._meanwhile is not None:
                        self._meanwhile()
                    # First, so that the reply can't come through.
                    client.shutdown(socket.SHUT_RDWR)
                    if self._arrives:
                        server.sendall(message)
                        # The server does what has arrived before it sees the end.
                        server.shutdown(socket.SHUT_WR)
                    else:
                        server.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(message)
            server.shutdown(socket.SHUT_WR)


def _copy(server: socket.socket, client: socket.socket) -> None:
    with server, client:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        # The other thread waits for it.
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
