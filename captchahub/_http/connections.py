"""Connections that another thread can cut off.

A socket's timeout bounds each wait for a byte, not the whole reply: a server that sends one byte a minute
would hold a thread for hours. So each exchange knows its connection, and the event loop, which watches the
clock, shuts its socket down.

That needs methods of urllib3 2 that are not public: ``_new_conn`` and ``_tunnel`` of its connections,
``_get_conn`` and ``_put_conn`` of its pools.
"""

from __future__ import annotations

import math
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssltransport import SSLTransport

from captchahub._http.happy_eyeballs import Options, Resolve, dial
from captchahub._http.interim_replies import FinalResponse
from captchahub._http.proxies import Proxy
from captchahub._support.clock import steady


class Exchange:
    """One request and its reply. Only :meth:`cut_off` is for other threads than the worker's."""

    def __init__(self, lock: threading.Lock, *, deadline: float, max_idle: float, resolve: Resolve) -> None:
        # One lock for all exchanges of a transport, because connections pass from one exchange to the next:
        # the earlier one must not cut off what the later one uses.
        self.lock = lock
        self._deadline = deadline
        self._resolve = resolve
        self.max_idle = max_idle
        """How long a connection may have been idle to be used again, in seconds."""
        self.may_have_sent = False
        """Whether any byte of the request may have left: from then on, a job may have been created."""
        self.proxy: Proxy | None = None
        """The proxy that it goes through, or None."""
        self.is_through_proxy = False
        """Whether that proxy has connected to the service."""
        self.is_connecting = False
        """Whether a connection is being made: what is sent then is for the proxy, and not yet the request."""
        self._is_cut_off = False
        self._connecting: socket.socket | None = None
        self._connection: _Connection | None = None

    def begin(self) -> None:
        """Make the connections that this thread uses from now on belong to the exchange."""
        _current.set(self)

    @contextmanager
    def connecting(self) -> Generator[None]:
        """Let the exchange be cut off while a connection is made: name, TCP, proxy, TLS."""
        self.is_connecting = True
        try:
            yield
        finally:
            self.is_connecting = False
            with self.lock:
                connecting, self._connecting = self._connecting, None
            if connecting is not None:
                connecting.close()

    def dial(self, host: str, port: int, options: Options) -> socket.socket:
        """Return a TCP connection. Raises OSError, also if the exchange was cut off."""
        try:
            addresses = self._resolve(host.strip("[]"), port, allowed_gai_family(), socket.SOCK_STREAM)
        except UnicodeError:
            # The encoding "idna" refuses labels that are empty or longer than 63 characters.
            raise socket.gaierror(socket.EAI_NONAME, "not a valid name") from None
        raw = dial(addresses, deadline=self._deadline, options=options, check=self._refuse_if_cut_off)
        try:
            with self.lock:
                self._refuse_if_cut_off()
                # wrap_socket() detaches this object from the connection. A duplicate still reaches it.
                self._connecting = raw.dup()
        except BaseException:
            raw.close()
            raise
        return raw

    def note_sending(self, connection: _Connection) -> None:
        """Note that bytes of the request may leave on this connection from here on.

        Raises OSError if the exchange was cut off.
        """
        with self.lock:
            self._refuse_if_cut_off()
            self._connection = connection
            connection.owner = self
            self.may_have_sent = True

    def _refuse_if_cut_off(self) -> None:
        if self._is_cut_off:
            raise ConnectionAbortedError("cut off")

    def cut_off(self) -> None:
        """End the exchange, from any thread: calls that block in it return at once."""
        with self.lock:
            self._is_cut_off = True
            if self._connecting is not None:
                _shut_down(self._connecting)
            elif self._connection is not None and self._connection.owner is self:
                _shut_down(self._connection.sock)


_current: ContextVar[Exchange] = ContextVar("_current")


def _shut_down(connected: object) -> None:
    # TLS to a service inside TLS to a proxy is not a socket but holds the one to the proxy.
    lowest = connected.socket if isinstance(connected, SSLTransport) else connected
    if isinstance(lowest, socket.socket):
        with suppress(OSError):
            # Not SSLSocket.shutdown(), which drops the TLS state that the worker's thread is reading with.
            socket.socket.shutdown(lowest, socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    """A connection that notes in the thread's exchange when it connects and when it sends."""

    response_class = FinalResponse
    owner: Exchange | None = None
    idle_since = math.inf

    def connect(self) -> None:
        with _current.get().connecting():
            super().connect()

    def _new_conn(self) -> socket.socket:
        # urllib3 (until 2.8 at least) tries one address after the other, each with the whole timeout.
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
        exchange = _current.get()
        if not exchange.is_connecting:
            exchange.note_sending(self)
        super().send(data)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType] - as for _TlsPool

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)
        if isinstance(connection, _Connection) and steady() - connection.idle_since > _current.get().max_idle:
            connection.close()  # the pool connects it again
        return connection

    def _put_conn(self, conn: Any) -> None:
        tracked: object = conn
        if isinstance(tracked, _Connection):
            # Before the next exchange can take it: this one must no longer be able to cut it off, and what it
            # has cut off before that is found by the pool, which looks at a connection that it takes out.
            with _current.get().lock:
                tracked.owner = None
            tracked.idle_since = steady()
        super()._put_conn(conn)


class _TlsPool(_Pool, urllib3.HTTPSConnectionPool):
    # urllib3's own classes do not match its protocol of a connection for pyright, either.
    ConnectionCls = _TlsConnection  # pyright: ignore[reportAssignmentType]


_POOLS: dict[str, type[urllib3.HTTPConnectionPool]] = {"http": _Pool, "https": _TlsPool}


def track(manager: urllib3.PoolManager) -> None:
    """Make all connections of a pool manager note their use in their exchange."""
    manager.pool_classes_by_scheme = dict(_POOLS)
