"""Connecting to a host that has several addresses, some of which may be dead: RFC 8305, "Happy Eyeballs".

An address whose packets are swallowed, such as that of a broken IPv6, says nothing for minutes. So the next
one is tried a moment later, beside it, and the first that connects is used.
"""

from __future__ import annotations

import math
import os
import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from types import TracebackType
from typing import Any, Self

from captchahub._support.clock import steady

__all__ = ["Address", "Options", "Resolve", "dial", "interleaved"]

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""One line of :func:`socket.getaddrinfo`; the last is what a socket of that family connects to."""

Resolve = Callable[[str, int, int, int], Sequence[Address]]
"""Finds the addresses of a name, as :func:`socket.getaddrinfo` does: host, port, family, type."""

Options = Iterable[tuple[int, int, int | bytes]]
"""What to set on a socket before it connects."""

# How long an address is tried alone, in seconds, as the RFC recommends.
_HEAD_START = 0.25

# So often somebody may say that the connection is not wanted any more, in seconds.
_TICK = 0.25

# Sockets are few: the oldest attempt makes room for the next where so many are open.
_MOST_AT_ONCE = 16


def dial(
    addresses: Sequence[Address],
    *,
    deadline: float,
    options: Options = (),
    head_start: float = _HEAD_START,
    go_on: Callable[[], None] = lambda: None,
) -> socket.socket:
    """A connected, blocking socket to one of the addresses.

    ``deadline`` is in :func:`time.monotonic`'s time; each address is begun well before it, however many there
    are. ``go_on`` is called several times a second, and ends it by raising.

    Raises TimeoutError, or the OSError of addresses that have all failed.
    """
    waiting = deque(interleaved(addresses))
    pause = min(head_start, (deadline - steady()) / 2 / max(len(waiting), 1))
    due = -math.inf
    with _Race(options) as race:
        while waiting or race.is_on:
            go_on()
            moment = steady()
            if moment >= deadline:
                raise TimeoutError("timed out")
            if waiting and moment >= due:
                race.begin(waiting.popleft())
                due = moment + pause
            winner = race.winner(min(due if waiting else math.inf, deadline, moment + _TICK) - moment)
            if winner is not None:
                return winner
            if race.has_lost():
                due = -math.inf
        raise race.error()


def interleaved(addresses: Iterable[Address]) -> Iterator[Address]:
    """The addresses in their order, but so that the families take turns."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return (address for address in turns if address is not None)


class _Race:
    """Attempts to connect, side by side; leaving it closes all but the winner."""

    def __init__(self, options: Options) -> None:
        self._options = list(options)
        self._selector = selectors.DefaultSelector()
        self._running: list[socket.socket] = []
        self._errors: list[OSError] = []
        self._told = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._running:
            self._drop(self._running[0])
        self._selector.close()

    @property
    def is_on(self) -> bool:
        """Whether any attempt is under way."""
        return bool(self._running)

    def has_lost(self) -> bool:
        """Whether an attempt has failed since the last time this was asked."""
        told, self._told = self._told, len(self._errors)
        return told < self._told

    def begin(self, address: Address) -> None:
        """Try one more address."""
        family, kind, protocol, _, target = address
        if len(self._running) >= _MOST_AT_ONCE:
            self._drop(self._running[0])
        try:
            self._connect(socket.socket(family, kind, protocol), target)
        except OSError as error:
            self._errors.append(error)

    def _connect(self, sock: socket.socket, target: Any) -> None:
        try:
            for option in self._options:
                sock.setsockopt(*option)
            sock.setblocking(False)
            # Either says that it is under way.
            with suppress(BlockingIOError, InterruptedError):
                sock.connect(target)
            self._selector.register(sock, selectors.EVENT_WRITE, sock)
        except BaseException:
            sock.close()
            raise
        self._running.append(sock)

    def winner(self, patience: float) -> socket.socket | None:
        """The first that is connected, waiting so many seconds for it at most."""
        if not self._running:
            return None
        for key, _ in self._selector.select(max(patience, 0.0)):
            sock: socket.socket = key.data
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number == 0:
                self._let_go(sock)
                sock.setblocking(True)
                return sock
            self._drop(sock)
            self._errors.append(OSError(number, os.strerror(number)))
        return None

    def _let_go(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        self._running.remove(sock)

    def _drop(self, sock: socket.socket) -> None:
        self._let_go(sock)
        sock.close()

    def error(self) -> OSError:
        """What all of them have failed with, each way once."""
        if not self._errors:
            return socket.gaierror(socket.EAI_NONAME, "the name has no address")
        told = " and ".join(dict.fromkeys(error.strerror or str(error) for error in self._errors))
        return OSError(self._errors[-1].errno, told)
