"""A server as one provider reaches it: what its requests have in common, and its open connections."""

from __future__ import annotations

import re
import threading
import weakref
from collections import deque
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from urllib3.connection import ProxyConfig
from urllib3.util import make_headers, parse_url

from captchahub._http.connections import Connection, Exchange, TlsConnection
from captchahub._http.network import Network
from captchahub._http.origins import Origin, beginning_of
from captchahub._support.clock import steady
from captchahub._version import __version__
from captchahub.provider import Request
from captchahub.settings import HttpSettings

# RFC 3986: a path and a query that need no encoding, and no removal of dot segments.
_PLAIN_TARGET = re.compile(r"(?:/(?!\.)[\w.\-~!$&'()*+,;=:@]*)+(?:\?[\w.\-~!$&'()*+,;=:@/?]*)?", re.ASCII)

# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[\w!#$%&'*+\-.^`|~]+", re.ASCII)

# The methods for which a request without a body says nothing of its length (RFC 9110, section 8.6).
_WITHOUT_BODY = frozenset({"GET", "HEAD"})


class Endpoint:
    """A server, prepared once for all requests of a provider to it. For any thread.

    ``max_idle`` is how long a connection may have been idle to be used again, in seconds. Raises
    :class:`~captchahub.errors.ConfigError` if the proxy's address is invalid, and ValueError if the host is.
    """

    def __init__(self, origin: Origin, settings: HttpSettings, network: Network, *, max_idle: float) -> None:
        # Before anything is looked up there, because the network can be read again meanwhile.
        self.reading = network.reading
        """Which :attr:`Network.reading` it was prepared with."""
        self.name = str(origin)
        """Its host, with the port unless that is the usual one."""
        self.proxy = network.proxy_for(origin, settings)
        """The proxy that requests go through, or None."""
        self._is_tls = origin.scheme == "https"
        self._settings = settings
        self._network = network
        address = parse_url(origin.url)
        # In ASCII, as RFC 5891 writes other letters.
        self._host, self._port = (address.host or "").strip("[]"), origin.port
        shown_port = "" if origin.has_usual_port else f":{origin.port}"
        self._fields = _common_fields(f"{address.host}{shown_port}", address.auth, settings)
        self._max_idle = max_idle
        self._lock = threading.Lock()
        # The one that was used last is at the end, and is used next: the others can be closed.
        self._idle: deque[Connection] = deque()
        self._is_closed = False
        # For a hub that is garbage-collected without being closed.
        weakref.finalize(self, _close_all, self._idle)

    def connection_for(self, exchange: Exchange, timeout: float) -> Connection:
        """Return a connection for an exchange, an idle one or else a new one.

        ``timeout`` is for each wait for a byte, in seconds. Raises one of urllib3's errors or an OSError, or
        :class:`~captchahub.errors.ConfigError` if the certificates to trust can't be used.
        """
        exchange.proxy = self.proxy
        oldest = steady() - self._max_idle
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                # Another thread has taken it.
                break
            # A connection that the service has closed, or the exchange before has cut off, can be read from.
            if connection.idle_since >= oldest and connection.is_connected:
                connection.exchange = exchange
                connection.sock.settimeout(timeout)
                return connection
            connection.close()
        return self._connected(exchange, timeout)

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next exchange. Those that have been idle for too long are closed."""
        now = connection.idle_since = steady()
        old: list[Connection] = []
        with self._lock:
            self._idle.append(connection)
            while self._idle and (self._is_closed or now - self._idle[0].idle_since > self._max_idle):
                old.append(self._idle.popleft())
        for one in old:
            one.close()

    def close(self) -> None:
        """Close the idle connections, and those that are in use when they are kept."""
        with self._lock:
            self._is_closed = True
        _close_all(self._idle)

    def _connected(self, exchange: Exchange, timeout: float) -> Connection:
        connection = self._new_connection(timeout)
        connection.exchange = exchange
        try:
            if self.proxy is not None:
                parts = urlsplit(self.proxy.url)
                fields = self.proxy.fields
                connection.set_tunnel(self._host, self._port, fields, scheme=parts.scheme)
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def _new_connection(self, timeout: float) -> Connection:
        host, port = self._host, self._port
        if not self._is_tls:
            return Connection(host, port, timeout=timeout)
        context = self._network.tls_context(self._settings)
        if self.proxy is None:
            return TlsConnection(host, port, timeout=timeout, ssl_context=context, cert_reqs="CERT_REQUIRED")
        proxy = parse_url(self.proxy.url)
        return TlsConnection(
            (proxy.host or "").strip("[]"),
            proxy.port or (443 if proxy.scheme == "https" else 80),
            timeout=timeout,
            ssl_context=context,
            cert_reqs="CERT_REQUIRED",
            proxy=proxy,
            # For the TLS to the proxy itself, if it has any.
            proxy_config=ProxyConfig(context, False, None, None),
        )

    def head_of(self, request: Request) -> bytes:
        """Return the request line and the headers of a request.

        Raises ValueError if they are not valid: a line break in a header would add another one.
        """
        fields = self._fields.copy()
        for name, value in request.headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError("not the name of a header")
            fields[name.lower()] = f"{name}: {value}"
        if request.body or request.method not in _WITHOUT_BODY:
            fields["content-length"] = f"Content-Length: {len(request.body)}"
        if not _TOKEN.fullmatch(request.method):
            raise ValueError("not a method of HTTP")
        lines = (f"{request.method} {_target_of(request.url)} HTTP/1.1", *fields.values(), "", "")
        head = "\r\n".join(lines).encode("latin-1")
        if not head.count(b"\r") == head.count(b"\n") == len(lines) - 1:
            raise ValueError("a header with a line break in it")
        return head


def _close_all(idle: deque[Connection]) -> None:
    while idle:
        with suppress(IndexError):
            # Another thread may have taken the last one.
            idle.pop().close()


def _common_fields(host: str, user: str | None, settings: HttpSettings) -> dict[str, str]:
    """Return the headers of all requests to a host, by their names in lower case."""
    fields = {
        "host": f"Host: {host}",
        "user-agent": f"User-Agent: {settings.user_agent or f'captchahub/{__version__}'}",
        # RFC 9110 section 12.5.3, because the limit on the size of replies counts plain bytes.
        "accept-encoding": "Accept-Encoding: identity",
    }
    if user is not None:
        made = make_headers(basic_auth=unquote(user))
        fields["authorization"] = f"Authorization: {made['authorization']}"
    return fields


def _target_of(url: str) -> str:
    """Return the path and the query of a URL, as they are sent."""
    target = url[len(beginning_of(url)) :]
    if _PLAIN_TARGET.fullmatch(target) and not target.endswith("?"):
        return target
    parsed = parse_url(url)
    # Like requests, without the question mark of an empty query.
    return f"{parsed.path or '/'}?{parsed.query}" if parsed.query else parsed.path or "/"
