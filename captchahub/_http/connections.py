"""Connections that can be cut off from another thread.

A timeout on a socket bounds each wait for a byte, not a whole reply: a server that drips would hold a thread
for hours. So each exchange knows its connection, and whoever watches the clock shuts its socket down.
"""

from __future__ import annotations

import math
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssltransport import SSLTransport

from captchahub._http.happy_eyeballs import Options, Resolve, dial
from captchahub._http.interim_replies import FinalResponse
from captchahub._http.proxies import Proxy
from captchahub._support.clock import steady

M = TypeVar("M", bound=urllib3.PoolManager)


class CutOffError(OSError):
    """The exchange was cut off before it could use its connection."""


class Exchange:
    """One request and its reply, from the moment it is asked for until it is over."""

    def __init__(
        self, lock: threading.Lock, *, deadline: float, max_idle: float, resolve: Resolve = socket.getaddrinfo
    ) -> None:
        # Shared by all exchanges of a transport: a connection goes from one to the next, and must not be cut
        # off by its last user.
        self._lock = lock
        self._deadline = deadline
        self._resolve = resolve
        self.max_idle = max_idle
        """How long a connection that is used again may have rested, in seconds."""
        self.sent = False
        """Whether any byte of the request may have left."""
        self.proxy: Proxy | None = None
        """What it goes through, None where it goes straight to the service."""
        self.is_through_proxy = False
        """Whether that proxy has connected to the service."""
        self._is_cut_off = False
        self._dialled: socket.socket | None = None
        self._connection: _Connection | None = None

    @contextmanager
    def running(self) -> Generator[None]:
        """Within this block, connections that the thread uses belong to the exchange."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            with self._lock:
                self._connection = None

    @contextmanager
    def dialling(self) -> Generator[None]:
        """Within this block, a connection is made: name, TCP, proxy, TLS."""
        try:
            yield
        finally:
            with self._lock:
                dialled, self._dialled = self._dialled, None
            if dialled is not None:
                dialled.close()

    def dial(self, host: str, port: int, options: Options) -> socket.socket:
        """A TCP connection. Raises OSError, :class:`CutOffError` among them where it is too late."""
        try:
            addresses = self._resolve(host.strip("[]"), port, allowed_gai_family(), socket.SOCK_STREAM)
        except UnicodeError:
            raise socket.gaierror(socket.EAI_NONAME, "not a possible name") from None
        raw = dial(addresses, deadline=self._deadline, options=options, go_on=self._go_on)
        try:
            self._dialled_is(raw)
        except BaseException:
            raw.close()
            raise
        return raw

    def _go_on(self) -> None:
        with self._lock:
            self._refuse_if_cut_off()

    def _dialled_is(self, raw: socket.socket) -> None:
        with self._lock:
            self._refuse_if_cut_off()
            # TLS will take the socket over; a duplicate still reaches it.
            self._dialled = raw.dup()

    def use(self, connection: _Connection) -> None:
        """Send on this connection from now on. Raises :class:`CutOffError` where it is too late."""
        with self._lock:
            self._refuse_if_cut_off()
            self._connection = connection
            connection.owner = self
            self.sent = True

    def _refuse_if_cut_off(self) -> None:
        if self._is_cut_off:
            raise CutOffError("cut off")

    def cut_off(self) -> None:
        """End the exchange, from any thread: whatever blocks in it returns at once."""
        with self._lock:
            self._is_cut_off = True
            if self._dialled is not None:
                _shut_down(self._dialled)
            elif self._connection is not None and self._connection.owner is self:
                _shut_down(self._connection.sock)


_current: ContextVar[Exchange] = ContextVar("_current")


def _shut_down(connected: object) -> None:
    # TLS to a server inside TLS to a proxy is no socket; it holds the one to the proxy.
    bottom = connected.socket if isinstance(connected, SSLTransport) else connected
    if isinstance(bottom, socket.socket):
        with suppress(OSError):
            # The plain socket's method: TLS's own would drop its state under the thread that reads from it.
            socket.socket.shutdown(bottom, socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    """A connection that tells the thread's exchange when it dials and when it sends."""

    response_class = FinalResponse
    owner: Exchange | None = None
    idle_since = math.inf
    _is_dialling = False

    def connect(self) -> None:
        self._is_dialling = True
        try:
            with _current.get().dialling():
                super().connect()
        finally:
            self._is_dialling = False

    def _new_conn(self) -> socket.socket:
        # urllib3's own tries one address after the other, each for as long as there is time for all of them.
        try:
            raw = _current.get().dial(self._dns_host, self.port, self.socket_options or ())
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "not connected in time") from error
        except OSError as error:
            raise NewConnectionError(self, f"not connected: {error}") from error
        raw.settimeout(self.timeout)
        sys.audit("http.client.connect", self, self.host, self.port)
        return raw

    def _tunnel(self) -> None:
        super()._tunnel()  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]  # urllib3 has it for some versions of Python only
        _current.get().is_through_proxy = True

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        # What is said to a proxy while dialling is not yet the request.
        if not self._is_dialling:
            _current.get().use(self)
        super().send(data)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType] - as for _TlsPool

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)
        if isinstance(connection, _Connection) and _has_rested(connection):
            connection.close()
        return connection

    def _put_conn(self, conn: Any) -> None:
        tracked: object = conn
        if isinstance(tracked, _Connection):
            # Nobody's, before the next can take it: its last user must not be able to cut it off.
            tracked.owner = None
            tracked.idle_since = steady()
        super()._put_conn(conn)


def _has_rested(connection: _Connection) -> bool:
    return steady() - connection.idle_since > _current.get().max_idle


class _TlsPool(_Pool, urllib3.HTTPSConnectionPool):
    # urllib3 describes a connection by a protocol that its own classes fail in pyright's eyes, too.
    ConnectionCls = _TlsConnection  # pyright: ignore[reportAssignmentType]


_POOLS: dict[str, type[urllib3.HTTPConnectionPool]] = {"http": _Pool, "https": _TlsPool}


def track(manager: M) -> M:
    """Make every connection of a pool manager one that tells its exchange."""
    manager.pool_classes_by_scheme = dict(_POOLS)
    return manager
