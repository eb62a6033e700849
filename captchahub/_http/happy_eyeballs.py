"""Connects to a host that has several addresses, some of which may be dead: RFC 8305, "Happy Eyeballs".

An address whose packets are dropped, such as one of a broken IPv6 network, does not fail for minutes. So the
next address is tried a moment later, at the same time, and the first connection is used.
"""

from __future__ import annotations

import math
import os
import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import chain, zip_longest
from typing import Any

from captchahub._support.clock import steady

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""One entry of :func:`socket.getaddrinfo`; the last item is what a socket of that family connects to."""

Resolve = Callable[[str, int, int, int], Sequence[Address]]
"""Returns the addresses of a name, like :func:`socket.getaddrinfo`: host, port, family, type."""

Options = Iterable[tuple[int, int, int | bytes]]
"""The arguments of ``setsockopt()`` to call before a socket connects."""

# Seconds between two attempts: the "Connection Attempt Delay" that RFC 8305 section 5 recommends.
_ATTEMPT_DELAY = 0.25

# Seconds between two calls of ``check``: a cancelled call holds its thread for no longer than this.
_TICK = 0.25

# A name can have hundreds of addresses, and a process often no more than 1024 open files. The oldest attempt
# makes room for the next.
_MAX_AT_ONCE = 16


def dial(
    addresses: Sequence[Address],
    *,
    deadline: float,
    options: Options = (),
    attempt_delay: float = _ATTEMPT_DELAY,
    check: Callable[[], None] = lambda: None,
) -> socket.socket:
    """Return a connected, blocking socket to one of the addresses.

    ``deadline`` is in :func:`time.monotonic`'s time. All addresses are tried in the first half of the time
    that is left. ``check`` is called several times a second, and stops the attempts by raising.

    Raises TimeoutError, or an OSError if all addresses have failed.
    """
    waiting = deque(interleaved(addresses))
    delay = min(attempt_delay, (deadline - steady()) / 2 / max(len(waiting), 1))
    next_attempt = -math.inf
    with closing(_Race(options)) as race:
        while waiting or race.running:
            check()
            failures = len(race.errors)
            moment = steady()
            if moment >= deadline:
                raise TimeoutError("timed out")
            if waiting and moment >= next_attempt:
                race.start(waiting.popleft())
                next_attempt = moment + delay
            winner = race.winner(
                min(next_attempt if waiting else math.inf, deadline, moment + _TICK) - moment
            )
            if winner is not None:
                return winner
            if len(race.errors) > failures:
                # RFC 8305 section 5: do not wait out the delay after an attempt that has failed.
                next_attempt = -math.inf
        raise race.error()


def interleaved(addresses: Iterable[Address]) -> Iterator[Address]:
    """Return the addresses in their order, alternating between the families (RFC 8305 section 4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return (address for address in turns if address is not None)


class _Race:
    """Attempts to connect at the same time."""

    def __init__(self, options: Options) -> None:
        self._options = list(options)
        self._selector = selectors.DefaultSelector()
        self.running: list[socket.socket] = []
        """The sockets that still connect, the oldest first."""
        self.errors: list[OSError] = []
        """Why the attempts that ended have failed."""

    def close(self) -> None:
        """Close all sockets but the winner's."""
        while self.running:
            self._drop(self.running[0])
        self._selector.close()

    def start(self, address: Address) -> None:
        """Start to connect to one more address."""
        family, kind, protocol, _, target = address
        if len(self.running) >= _MAX_AT_ONCE:
            self._drop(self.running[0])
        try:
            self._connect(socket.socket(family, kind, protocol), target)
        except OSError as error:
            self.errors.append(error)

    def _connect(self, sock: socket.socket, target: Any) -> None:
        try:
            for option in self._options:
                sock.setsockopt(*option)
            sock.setblocking(False)
            # Either means that it goes on: POSIX has EINPROGRESS, and EINTR if a signal came in between.
            with suppress(BlockingIOError, InterruptedError):
                sock.connect(target)
            self._selector.register(sock, selectors.EVENT_WRITE, sock)
        except BaseException:
            sock.close()
            raise
        self.running.append(sock)

    def winner(self, timeout: float) -> socket.socket | None:
        """Return the first connected socket, or None if there is none within ``timeout`` seconds."""
        if not self.running:
            return None
        for key, _ in self._selector.select(max(timeout, 0.0)):
            sock: socket.socket = key.data
            # A socket that cannot connect becomes writable as well; its error is the result.
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number == 0:
                self._remove(sock)
                sock.setblocking(True)
                return sock
            self._drop(sock)
            self.errors.append(OSError(number, os.strerror(number)))
        return None

    def _remove(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        self.running.remove(sock)

    def _drop(self, sock: socket.socket) -> None:
        self._remove(sock)
        sock.close()

    def error(self) -> OSError:
        """Return the errors of all attempts as one, each message once."""
        if not self.errors:
            return socket.gaierror(socket.EAI_NONAME, "the name has no address")
        messages = " and ".join(dict.fromkeys(error.strerror or str(error) for error in self.errors))
        return OSError(self.errors[-1].errno, messages)
