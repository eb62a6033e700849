"""Connections that another thread can cut off.

A socket's timeout bounds each wait for a byte, not the whole reply: a server that sends one byte a minute
would hold a thread for hours. So each exchange knows its connection, and the event loop, which watches the
clock, shuts its socket down.

urllib3's connections make TCP, proxy and TLS. They send each request by a method of their own, because
urllib3's costs three times as much. Of urllib3 2 that needs a method that is not public, ``_new_conn``.
"""

from __future__ import annotations

import errno
import math
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssltransport import SSLTransport

from captchahub._http.happy_eyeballs import Options, Resolve, dial
from captchahub._http.interim_replies import FinalResponse
from captchahub._http.proxies import Proxy

# A body of at most so many bytes is sent with the head, in one packet or TLS record if both fit in.
_SENT_AT_ONCE = 32 * 1024

# A service can refuse a request before it has all of it, and close its side. Its reply can still be read.
_CLOSED_EARLY = (errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE)


class Exchange:
    """One request and its reply. Only :meth:`cut_off` is for other threads than the worker's."""

    __slots__ = (
        "_connecting",
        "_connection",
        "_resolve",
        "deadline",
        "is_cut_off",
        "is_through_proxy",
        "lock",
        "may_have_sent",
        "proxy",
    )

    def __init__(self, lock: threading.Lock, *, deadline: float, resolve: Resolve) -> None:
        # One lock for all exchanges of a transport, because connections pass from one exchange to the next:
        # the earlier one must not cut off what the later one uses.
        self.lock = lock
        self.deadline = deadline
        self._resolve = resolve
        self.may_have_sent = False
        """Whether any byte of the request may have left: from then on, a job may have been created."""
        self.proxy: Proxy | None = None
        """The proxy that it goes through, or None."""
        self.is_through_proxy = False
        """Whether that proxy has connected to the service."""
        self.is_cut_off = False
        self._connecting: socket.socket | None = None
        self._connection: Connection | None = None

    @contextmanager
    def connecting(self) -> Generator[None]:
        """Let the exchange be cut off while a connection is made: name, TCP, proxy, TLS."""
        try:
            yield
        finally:
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
        raw = dial(addresses, deadline=self.deadline, options=options, check=self._refuse_if_cut_off)
        try:
            with self.lock:
                self._refuse_if_cut_off()
                # wrap_socket() detaches this object from the connection. A duplicate still reaches it.
                self._connecting = raw.dup()
        except BaseException:
            raw.close()
            raise
        return raw

    def note_sending(self, connection: Connection) -> None:
        """Note that bytes of the request may leave on this connection from here on.

        Raises OSError if the exchange was cut off.
        """
        with self.lock:
            self._refuse_if_cut_off()
            self._connection = connection
            self.may_have_sent = True

    def end(self, connection: Connection) -> None:
        """Pass a connection on: the exchange can't cut it off any more."""
        with self.lock:
            connection.exchange = None

    def _refuse_if_cut_off(self) -> None:
        if self.is_cut_off:
            raise ConnectionAbortedError("cut off")

    def cut_off(self) -> None:
        """End the exchange, from any thread: calls that block in it return at once."""
        with self.lock:
            self.is_cut_off = True
            if self._connecting is not None:
                _shut_down(self._connecting)
            elif self._connection is not None and self._connection.exchange is self:
                _shut_down(self._connection.sock)


def _shut_down(connected: object) -> None:
    # TLS to a service inside TLS to a proxy is not a socket but holds the one to the proxy.
    lowest = connected.socket if isinstance(connected, SSLTransport) else connected
    if isinstance(lowest, socket.socket):
        with suppress(OSError):
            # Not SSLSocket.shutdown(), which drops the TLS state that the worker's thread is reading with.
            socket.socket.shutdown(lowest, socket.SHUT_RDWR)


class Connection(HTTPConnection):
    """A connection that belongs to one exchange after the other."""

    exchange: Exchange | None = None
    """The exchange that uses it, or None while it is idle."""
    idle_since = math.inf

    def connect(self) -> None:
        """Connect for the exchange. Raises one of urllib3's errors or an OSError."""
        with self._user.connecting():
            super().connect()

    @property
    def _user(self) -> Exchange:
        if self.exchange is None:
            raise RuntimeError("a connection is used without an exchange")
        return self.exchange

    def _new_conn(self) -> socket.socket:
        # urllib3 (until 2.8 at least) tries one address after the other, each with the whole timeout.
        try:
            raw = self._user.dial(self._dns_host, self.port, self.socket_options or ())
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "not connected in time") from error
        except OSError as error:
            raise NewConnectionError(self, f"not connected: {error}") from error
        raw.settimeout(self.timeout)
        sys.audit("http.client.connect", self, self.host, self.port)
        return raw

    # Reads the reply to a CONNECT.
    response_class = FinalResponse

    def _tunnel(self) -> None:
        super()._tunnel()  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]  # urllib3 has it for some versions of Python only
        self._user.is_through_proxy = True

    def ask(self, method: str, head: bytes, body: bytes) -> FinalResponse:
        """Send a request, and return the reply, of which the status and the headers are read.

        ``head`` is the request line and the headers. Raises OSError or HTTPException.
        """
        sock = self.sock
        self._user.note_sending(self)
        try:
            if len(body) <= _SENT_AT_ONCE:
                sock.sendall(head + body)
            else:
                sock.sendall(head)
                sock.sendall(body)
        except OSError as error:
            if error.errno not in _CLOSED_EARLY:
                raise
        reply = FinalResponse(sock, method=method)
        try:
            reply.begin()
        except BaseException:
            reply.close()
            raise
        return reply


class TlsConnection(Connection, HTTPSConnection):
    """The same over TLS."""
