"""Sends requests over HTTP, and turns the errors of urllib3 and sockets into the library's own.

It uses urllib3's connections, on which requests is built, and no session: there are no redirects, cookies or
``.netrc``. What requests does for each call is done once for each server.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from functools import partial
from http.client import IncompleteRead
from typing import Protocol

import urllib3
from urllib3.exceptions import ConnectTimeoutError

from captchahub._http.breakages import ERRORS, breakage_of
from captchahub._http.connections import Connection, Exchange
from captchahub._http.endpoints import Endpoint
from captchahub._http.failures import Breakage, Cause, failure, not_started, reply_of, timed_out, too_large
from captchahub._http.happy_eyeballs import Resolve
from captchahub._http.interim_replies import FinalResponse
from captchahub._http.network import Network
from captchahub._http.origins import beginning_of, name_of, origin_of
from captchahub._policy.concurrency import LEAST_CALLS, RoundTrips
from captchahub._support.clock import steady
from captchahub._support.threads import Workers
from captchahub._support.tracebacks import forget_frames
from captchahub.errors import CaptchaHubError, ConfigError, MalformedReply
from captchahub.provider import Reply, Request
from captchahub.settings import HttpSettings

# Bytes of a reply to read at a time: the size limit is checked after each.
_CHUNK = 16 * 1024

# The servers that a provider is prepared for. A service has one or two.
MAX_ENDPOINTS = 8

# Seconds after the deadline at which a socket times out by itself.
_GRACE = 1.0

# Seconds that a connection may be idle and be used again. A service, a NAT or a load balancer on the way may
# forget it after longer, without notice; a create that is sent into such a connection is ambiguous.
MAX_IDLE = 15.0

# Seconds that closing waits for a thread that cannot be interrupted, such as one in a name look-up.
CLOSING_SECONDS = 2.0


class Transport(Protocol):
    """Sends requests for one provider."""

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """Return the complete reply; ``timeout`` is for the whole exchange, in seconds.

        Raises :class:`~captchahub.errors.ServiceUnavailable`, whose ``nothing_created`` is True if nothing of
        the request was sent, or :class:`~captchahub.errors.MalformedReply` if the reply is too large.
        """
        ...

    async def aclose(self) -> None:
        """Cut off the exchanges that run, and close all threads and sockets."""
        ...


class HttpTransport:
    """A :class:`Transport` on urllib3: blocking calls in threads, kept-alive connections.

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
        self._workers = Workers(name, LEAST_CALLS)
        self._endpoints: dict[str, Endpoint] = {}
        self._preparing = threading.Lock()
        self._round_trips = RoundTrips()
        self._lock = threading.Lock()
        self._running: set[Exchange] = set()

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """See :meth:`Transport.send`."""
        return reply_of(await self._outcome(request, timeout))

    async def _outcome(self, request: Request, timeout: float) -> Reply | CaptchaHubError:
        exchange = Exchange(self._lock, deadline=steady() + timeout, resolve=self._resolve)
        self._running.add(exchange)
        waiting = self._workers.begin(partial(self._exchange, request, exchange, timeout))
        run_out = partial(_run_out, waiting, exchange, beginning_of(request.url), timeout)
        timer = asyncio.get_running_loop().call_later(timeout, run_out)
        try:
            return await waiting
        except BaseException:
            exchange.cut_off()
            raise
        finally:
            timer.cancel()
            self._running.discard(exchange)

    async def aclose(self) -> None:
        """See :meth:`Transport.aclose`."""
        for exchange in self._running:
            exchange.cut_off()
        # Before the wait, which may be cancelled.
        with self._preparing:
            for endpoint in self._endpoints.values():
                endpoint.close()
        await self._workers.aclose(CLOSING_SECONDS)

    def _exchange(self, request: Request, exchange: Exchange, timeout: float) -> Reply | CaptchaHubError:
        """Send a request and read its reply, in a worker's thread.

        Errors are returned. An exception that is raised while one of urllib3's is handled would hold that one
        as its context, and with it the request's body, which has the token.
        """
        # A call that waited half its time for a thread is not started: its reply would hardly come in time,
        # and a create without its reply is ambiguous.
        if exchange.is_cut_off or steady() > exchange.deadline - timeout / 2:
            return not_started(name_of(request.url))
        try:
            endpoint = self._endpoint_for(request.url)
        except ConfigError as error:
            return error
        except ValueError:
            return failure(name_of(request.url), exchange, Breakage(Cause.BAD_ADDRESS))
        return self._exchange_at(endpoint, request, exchange, timeout)

    def _exchange_at(
        self, endpoint: Endpoint, request: Request, exchange: Exchange, timeout: float
    ) -> Reply | CaptchaHubError:
        try:
            head = endpoint.head_of(request)
            # The timeout is only for a thread that the event loop could not cut off: it does so in time.
            connection = endpoint.connection_for(exchange, timeout + _GRACE)
            return self._converse(endpoint, connection, exchange, request, head)
        except ConfigError as error:
            return error
        except ERRORS as error:
            # urllib3 leaves its errors in reference cycles with its frames, and those lead to the request.
            forget_frames(error)
            if type(error) is ConnectTimeoutError:
                return timed_out(endpoint.name, exchange, timeout)
            return failure(endpoint.name, exchange, breakage_of(error))

    def _converse(
        self, endpoint: Endpoint, connection: Connection, exchange: Exchange, request: Request, head: bytes
    ) -> Reply | CaptchaHubError:
        is_usable = False
        try:
            sent = steady()
            reply = connection.ask(request.method, head, request.body)
            with reply:
                began = steady()
                self._round_trips = self._round_trips.after(began - sent, began)
                self._workers.allow(self._round_trips.call_limit)
                read = _read(reply, request.method, self._settings.max_reply_bytes)
                is_usable = reply.isclosed() and not reply.will_close
            return read
        finally:
            # Before the next exchange can take it: this one must no longer be able to cut it off.
            exchange.end(connection)
            if is_usable:
                endpoint.keep(connection)
            else:
                connection.close()

    def _endpoint_for(self, url: str) -> Endpoint:
        """Return the endpoint of a URL. Raises ConfigError or ValueError."""
        beginning = beginning_of(url)
        endpoint = self._endpoints.get(beginning)
        if endpoint is not None and endpoint.reading is self._network.reading:
            return endpoint
        origin = origin_of(url)
        with self._preparing:
            endpoint = self._endpoints.get(beginning)
            if endpoint is None or endpoint.reading is not self._network.reading:
                made = Endpoint(origin, self._settings, self._network, max_idle=self._max_idle)
                while endpoint is not None or len(self._endpoints) >= MAX_ENDPOINTS:
                    self._endpoints.pop(beginning if endpoint else next(iter(self._endpoints))).close()
                    endpoint = None
                endpoint = self._endpoints[beginning] = made
            return endpoint


def _run_out(
    waiting: asyncio.Future[Reply | CaptchaHubError], exchange: Exchange, beginning: str, timeout: float
) -> None:
    """End a call whose time is up."""
    if not waiting.done():
        # First, because the worker could still start to send until it is cut off.
        exchange.cut_off()
        waiting.set_result(timed_out(name_of(beginning), exchange, timeout))


def _read(reply: FinalResponse, method: str, limit: int) -> Reply | MalformedReply:
    """Return the whole reply, whose headers are read already.

    Raises IncompleteRead if the connection ends before the reply does, and one of urllib3's errors if the
    reply can't be unpacked.
    """
    headers: dict[str, str] = {}
    for name, value in reply.getheaders():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    body = bytearray()
    is_plain = headers.get("content-encoding", "identity").strip().lower() == "identity"
    # http.client takes the number -1 before a chunk for all that follows, and would read it without a limit.
    if is_plain and not reply.chunked:
        while piece := reply.read(_CHUNK):
            body += piece
            if len(body) > limit:
                return too_large(reply.status, limit)
        if reply.length:
            raise IncompleteRead(bytes(body), reply.length)
    else:
        packed = urllib3.HTTPResponse(
            reply,
            headers,
            reply.status,
            preload_content=False,
            request_method=method,
            original_response=reply,
        )
        for piece in packed.stream(_CHUNK, decode_content=True):
            body += piece
            if len(body) > limit:
                return too_large(reply.status, limit)
    return Reply(reply.status, bytes(body), headers)
