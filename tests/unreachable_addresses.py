"""Addresses of this machine to which no connection can be made."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from captchahub._http.happy_eyeballs import Address, Resolve

__all__ = ["address", "refusing", "resolving", "swallowing"]


def address(port: int, host: str = "127.0.0.1") -> Address:
    """Return an address in the format of ``getaddrinfo``."""
    return socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port)


def resolving(*addresses: Address) -> Resolve:
    """Return a resolver that returns these addresses for every name and port."""

    def resolve(_host: str, _port: int, _family: int, _kind: int) -> tuple[Address, ...]:
        return addresses

    return resolve


@contextmanager
def refusing() -> Generator[Address]:
    """Yield an address that refuses connections, reserved so that no other program listens there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield address(unused.getsockname()[1])


@contextmanager
def swallowing(host: str = "127.0.0.1") -> Generator[Address]:
    """Yield an address that never accepts a connection, because its backlog is full."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((host, 0))
        server.listen(0)
        while _connects(stack.enter_context(socket.socket()), server):
            pass
        yield address(server.getsockname()[1], host)


def _connects(client: socket.socket, server: socket.socket) -> bool:
    client.setblocking(False)
    client.connect_ex(server.getsockname())
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_WRITE)
        return bool(selector.select(0.05))
