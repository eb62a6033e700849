"""Sends requests over HTTP in the event loop, without threads: on aiohttp, which the extra ``fast`` installs.

Only this module knows aiohttp. It keeps to what :mod:`captchahub._http.transport` does, which says why.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import ssl
import weakref
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import partial

import aiohttp
import attrs
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from urllib3.util import wait_for_read
from urllib3.util.connection import allowed_gai_family
from yarl import URL

from captchahub._http.breakages import breakage_of
from captchahub._http.failures import Breakage, Cause, failure, not_started, reply_of, timed_out, too_large
from captchahub._http.happy_eyeballs import Resolve
from captchahub._http.network import Network
from captchahub._http.origins import beginning_of, name_of, origin_of
from captchahub._http.proxies import Proxy
from captchahub._http.transport import CLOSING_SECONDS, MAX_ENDPOINTS, MAX_IDLE
from captchahub._policy.concurrency import LEAST_CALLS, RoundTrips
from captchahub._support.clock import steady
from captchahub._support.threads import Workers
from captchahub._support.tracebacks import forget_frames
from captchahub._version import __version__
from captchahub.errors import CaptchaHubError, ConfigError, MalformedReply
from captchahub.provider import Reply, Request
from captchahub.settings import HttpSettings

# asyncio keeps a buffer of 256 KiB for each connection with TLS. Under load the loop is late, so that round
# trips seem longer than they are.
_MAX_CONNECTIONS = 128

# Connections that are made at the same time. The queue of a server for them is often no longer than 100: what
# does not fit is tried again after a second or more.
_MAX_CONNECTING = 64

# Name look-ups and the reading of certificates block. They are rare: for each connection, and for each hub.
_MAX_THREADS = 4

# aiohttp warns of larger bodies unless it can read them in pieces.
_MAX_PIECE = 1024 * 1024

# The deadline is kept here. Any timer of aiohttp would be one more for each call.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)

# Each is sent only if a provider sets it. The other headers that aiohttp adds by itself are set below.
_NOT_ADDED = ("Accept", "Content-Type")


class FastTransport:
    """A :class:`~captchahub._http.transport.Transport` on aiohttp. It belongs to one event loop.

    ``network`` is what the providers of a hub share; without it, the transport has its own.
    """

    def __init__(
        self,
        name: str,
        settings: HttpSettings,
        *,
        network: Network | None = None,
        max_idle: float = MAX_IDLE,
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self._settings = settings
        self._network = Network() if network is None else network
        self._max_idle = max_idle
        self._resolve = resolve
        self._workers = Workers(name, _MAX_THREADS)
        self._routes: dict[str, _Route] = {}
        self._preparing = asyncio.Lock()
        self._round_trips = RoundTrips()
        self._limit = LEAST_CALLS
        self._slots = asyncio.Semaphore(self._limit)
        self._running: set[_Exchange] = set()
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """See :meth:`Transport.send`."""
        return reply_of(await self._outcome(request, timeout))

    async def _outcome(self, request: Request, timeout: float) -> Reply | CaptchaHubError:
        exchange = _Exchange(deadline=steady() + timeout)
        timer = asyncio.get_running_loop().call_later(timeout, exchange.cut_off)
        self._running.add(exchange)
        outcome: Reply | CaptchaHubError | None = None
        try:
            outcome = await self._exchange(request, exchange, timeout)
        except asyncio.CancelledError:
            if not exchange.is_cut_off:
                raise
        finally:
            timer.cancel()
            self._running.discard(exchange)
            if not isinstance(outcome, Reply):
                exchange.drop_connection()
            asked, wanted = exchange.end()
        if exchange.is_cut_off and asked > wanted:
            # Others want the task cancelled, too.
            raise asyncio.CancelledError
        return timed_out(name_of(request.url), exchange, timeout) if outcome is None else outcome

    async def aclose(self) -> None:
        """See :meth:`Transport.aclose`."""
        for exchange in self._running:
            exchange.cut_off()
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._workers.aclose(CLOSING_SECONDS)

    async def _exchange(
        self, request: Request, exchange: _Exchange, timeout: float
    ) -> Reply | CaptchaHubError:
        """Send a request and read its reply. Errors are returned, as in :class:`HttpTransport`."""
        await self._slots.acquire()
        try:
            if steady() > exchange.deadline - timeout / 2:
                return not_started(name_of(request.url))
            try:
                route = await self._route_to(request.url, exchange)
            except ConfigError as error:
                return error
            except ValueError:
                return failure(name_of(request.url), exchange, Breakage(Cause.BAD_ADDRESS))
            exchanging = _current.set(exchange)
            try:
                return await self._converse(route, request, exchange)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                forget_frames(error)
                breakage = _breakage_of(error)
                exchange.is_through_proxy = route.proxy is not None and not _is_of_proxy(error, route.proxy)
                return failure(route.name, exchange, breakage)
            finally:
                _current.reset(exchanging)
        finally:
            self._free_slot()

    def _free_slot(self) -> None:
        """Free the slot of a call, and add or remove slots as the round trips allow."""
        added = max(-1, min(self._round_trips.call_limit, _MAX_CONNECTIONS) - self._limit)
        self._limit += added
        for _ in range(1 + added):
            self._slots.release()

    async def _converse(self, route: _Route, request: Request, exchange: _Exchange) -> Reply | MalformedReply:
        if self._session is None:
            self._session = self._new_session()
            # For a hub that is garbage-collected without being closed.
            weakref.finalize(self, _forget, self._session, asyncio.get_running_loop())
        limit = self._settings.max_reply_bytes
        async with self._session.request(
            request.method,
            URL(request.url),
            data=request.body if len(request.body) <= _MAX_PIECE else io.BytesIO(request.body),
            headers=request.headers,
            allow_redirects=False,
            ssl=route.context,
            proxy=route.proxy_url,
            proxy_headers=route.proxy_headers,
        ) as response:
            began = steady()
            self._round_trips = self._round_trips.after(began - exchange.sent, began)
            body = bytearray()
            while piece := await response.content.readany():
                body += piece
                if len(body) > limit:
                    return too_large(response.status, limit)
            return Reply(response.status, bytes(body), _fields(response.raw_headers))

    def _new_session(self) -> aiohttp.ClientSession:
        # The session outlives a transport that is garbage-collected, and must not keep its threads.
        workers: Workers = weakref.proxy(self._workers)
        connector = _Connector(
            # The slots are the limit: a call that waits for one can still be refused.
            limit=0,
            keepalive_timeout=self._max_idle,
            resolver=_Resolver(self._resolve, workers),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": self._settings.user_agent or f"captchahub/{__version__}",
                "Accept-Encoding": "identity",
            },
            skip_auto_headers=_NOT_ADDED,
            timeout=_NO_TIMEOUT,
            trust_env=False,
        )

    async def _route_to(self, url: str, exchange: _Exchange) -> _Route:
        """Return the route to a URL, for an exchange. Raises ConfigError or ValueError."""
        beginning = beginning_of(url)
        route = self._known_route(beginning)
        if route is None:
            # One at a time, because many calls can begin at once, and would all prepare the same route.
            async with self._preparing:
                route = self._known_route(beginning)
                if route is None:
                    prepare = partial(_prepared, url, self._settings, self._network, exchange)
                    route = await self._workers.begin(prepare)
                    while len(self._routes) >= MAX_ENDPOINTS:
                        self._routes.pop(next(iter(self._routes)))
                    self._routes[beginning] = route
        exchange.proxy = route.proxy
        return route

    def _known_route(self, beginning: str) -> _Route | None:
        route = self._routes.get(beginning)
        return None if route is None or route.reading is not self._network.reading else route


class _Exchange:
    """One request and its reply, in the task that sends it."""

    __slots__ = (
        "_cancels",
        "_connected",
        "_task",
        "deadline",
        "has_new_connection",
        "is_cut_off",
        "is_through_proxy",
        "may_have_sent",
        "proxy",
        "sent",
    )

    def __init__(self, *, deadline: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is sent outside of a task")
        self._task: asyncio.Task[object] | None = task
        self._cancels = task.cancelling()
        self._connected: asyncio.Transport | None = None
        self.deadline = deadline
        self.sent = 0.0
        self.may_have_sent = False
        self.proxy: Proxy | None = None
        self.is_through_proxy = False
        self.is_cut_off = False
        self.has_new_connection = False

    def note_sending(self, connected: asyncio.Transport | None) -> None:
        """Note that bytes of the request may leave on this connection from here on."""
        self._connected = connected
        self.sent = steady()
        self.may_have_sent = True

    def drop_connection(self) -> None:
        """Close the connection at once: aiohttp waits for the other side to end TLS, too.

        Not if aiohttp keeps it, because another exchange may use it already.
        """
        if self._connected is not None and self._connected.is_closing():
            self._connected.abort()

    def cut_off(self) -> None:
        """End the exchange: what its task waits for raises CancelledError."""
        if not self.is_cut_off and self._task is not None:
            self.is_cut_off = True
            self._task.cancel()

    def end(self) -> tuple[int, int]:
        """Take back the request to cancel the task, and release it.

        Returns how often others have asked to cancel it, now and at the beginning. Connections refer to the
        exchange that they were made for, through the context of their callbacks.
        """
        task, self._task, self._connected = self._task, None, None
        asked = 0 if task is None else task.uncancel() if self.is_cut_off else task.cancelling()
        return asked, self._cancels


# Of the task that calls aiohttp, for the connector.
_current: ContextVar[_Exchange] = ContextVar("exchange")


@attrs.frozen
class _Route:
    """How requests reach a server."""

    name: str
    reading: object
    """Which :attr:`Network.reading` it was prepared with."""
    proxy: Proxy | None
    proxy_url: str | None = attrs.field(repr=False)
    proxy_headers: Mapping[str, str] | None = attrs.field(repr=False)
    context: ssl.SSLContext | bool
    """The TLS context, or True if the server has no TLS."""


def _prepared(url: str, settings: HttpSettings, network: Network, exchange: _Exchange) -> _Route:
    # Before anything is looked up there, because the network can be read again meanwhile.
    reading = network.reading
    origin = origin_of(url)
    # Noted at once, because reading the certificates can take longer than the exchange may.
    exchange.proxy = proxy = network.proxy_for(origin, settings)
    context = network.tls_context(settings) if origin.scheme == "https" else True
    return _Route(
        str(origin),
        reading,
        proxy,
        None if proxy is None else proxy.url_without_user,
        None if proxy is None else proxy.fields,
        context,
    )


class _Connector(aiohttp.TCPConnector):
    """Notes when a request may have left, and uses no connection that the server has closed."""

    def __init__(self, *, limit: int, keepalive_timeout: float, resolver: AbstractResolver) -> None:
        super().__init__(limit=limit, keepalive_timeout=keepalive_timeout, resolver=resolver)  # pyright: ignore[reportUnknownMemberType]  # a tuple of any address
        self._connecting = asyncio.Semaphore(_MAX_CONNECTING)
        self.is_forgotten = False

    def __del__(self, _: object = None, /) -> None:
        # The one of aiohttp prints the connections, and calls a loop that may be closed.
        if not self.is_forgotten:
            super().__del__()

    def drop_all(self) -> None:
        """Close all connections without waiting."""
        self._close()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[aiohttp.tracing.Trace], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """Return a connection for a request. See :meth:`aiohttp.BaseConnector.connect`."""
        exchange = _current.get()
        if exchange.may_have_sent:
            # aiohttp repeats a GET whose connection broke. Some services create jobs with GET.
            raise aiohttp.ServerDisconnectedError
        while True:
            connection = await super().connect(req, traces, timeout)
            connected = connection.transport
            # The loop may not have had the time to see that the server closed it.
            if exchange.has_new_connection or (connected is not None and not _can_be_read(connected)):
                exchange.note_sending(connected)
                return connection
            connection.close()

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[aiohttp.tracing.Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        async with self._connecting:
            handler = await super()._create_connection(req, traces, timeout)
        _current.get().has_new_connection = True
        return handler


def _forget(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    """Close a session without waiting, from any thread. Does nothing if it is closed already."""
    connector = session.connector
    # Both would print that they were not closed.
    session.detach()
    if isinstance(connector, _Connector) and not connector.closed:
        # A loop that is closed refuses this, and its transports close their sockets themselves.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(connector.drop_all)
        connector.is_forgotten = True


def _can_be_read(transport: asyncio.Transport) -> bool:
    return wait_for_read(transport.get_extra_info("socket"), timeout=0)


class _Resolver(AbstractResolver):
    """Looks up names in threads of the transport, because those of the loop are joined at its end."""

    def __init__(self, resolve: Resolve, workers: Workers) -> None:
        self._resolve = resolve
        self._workers = workers

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - as urllib3 has it
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises OSError."""
        look_up = partial(self._resolve, host, port, allowed_gai_family(), socket.SOCK_STREAM)
        try:
            found = await self._workers.begin(look_up)
        except UnicodeError:
            # The encoding "idna" refuses labels that are empty or longer than 63 characters.
            raise socket.gaierror(socket.EAI_NONAME, "not a valid name") from None
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        return [
            ResolveResult(
                hostname=host,
                host=target[0],
                port=target[1],
                family=family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for family, _, protocol, _, target in found
        ]

    async def close(self) -> None:
        """Do nothing: the transport closes its threads."""


def _breakage_of(error: BaseException) -> Breakage:  # noqa: PLR0911 - a table
    """Return what broke an exchange that ended with an error of aiohttp."""
    match error:
        case aiohttp.InvalidURL():
            return Breakage(Cause.BAD_ADDRESS)
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            return breakage_of(cause)
        case aiohttp.ClientSSLError(os_error=cause):
            return breakage_of(cause)
        case aiohttp.ClientHttpProxyError(status=status):
            return Breakage(Cause.REFUSED_BY_PROXY, str(status))
        case aiohttp.ClientConnectorDNSError():
            return Breakage(Cause.UNRESOLVED)
        case aiohttp.ClientConnectorError(os_error=cause):
            # Not its own text, which names addresses.
            number = cause.errno
            return Breakage(Cause.UNREACHABLE, "no reply" if number is None else os.strerror(number))
        case _:
            return breakage_of(error)


def _is_of_proxy(error: BaseException, proxy: Proxy) -> bool:
    """Return whether an exchange broke before its proxy had connected to the service."""
    match error:
        case aiohttp.ClientSSLError(host=host):
            return host == URL(proxy.url).host
        case _:
            return True


def _fields(raw: tuple[tuple[bytes, bytes], ...]) -> dict[str, str]:
    """Return the headers of a reply by their names in lower case."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields
