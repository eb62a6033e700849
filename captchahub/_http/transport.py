"""Sends requests over HTTP, and turns the errors of requests and urllib3 into the library's own.

It uses requests' adapter without a session: there are no redirects, cookies or ``.netrc``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, should_bypass_proxies
from urllib3.exceptions import HTTPError

from captchahub._http.certificates import Trust, environment_trust, named_trust
from captchahub._http.connections import Exchange, track
from captchahub._http.failures import failure, timed_out
from captchahub._http.happy_eyeballs import Resolve
from captchahub._http.proxies import Proxy, environment_proxy
from captchahub._support.clock import steady
from captchahub._support.threads import Workers
from captchahub._support.tracebacks import forget_frames
from captchahub._version import __version__
from captchahub.errors import ConfigError, MalformedReply, ProviderError, ServiceUnavailable
from captchahub.provider import Reply, Request, is_loopback
from captchahub.settings import HttpSettings

# Bytes of a reply to read at a time: the size limit is checked after each.
_CHUNK = 16 * 1024

# The calls of one provider that can run at the same time, each in a thread.
_MAX_WORKERS = 32

# Seconds after the deadline at which a socket times out by itself.
_GRACE = 1.0

# Seconds that a connection may be idle and be used again. A service, a NAT or a load balancer on the way may
# forget it after longer, without notice; a create that is sent into such a connection is ambiguous.
_MAX_IDLE = 15.0

# Seconds that closing waits for a thread that cannot be interrupted, such as one in a name look-up.
_CLOSING_SECONDS = 2.0


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
    """A :class:`Transport` on requests: blocking calls in threads, pooled keep-alive connections."""

    def __init__(
        self,
        name: str,
        settings: HttpSettings,
        *,
        max_idle: float = _MAX_IDLE,
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self._settings = settings
        self._max_idle = max_idle
        self._resolve = resolve
        self._workers = Workers(name, _MAX_WORKERS)
        self._adapter = Adapter(pool_connections=4, pool_maxsize=_MAX_WORKERS, max_retries=0)
        track(self._adapter.poolmanager)
        # The certificates that were last found usable; checking them parses the file.
        self._checked: Trust | None = None
        self._lock = threading.Lock()
        self._running: set[Exchange] = set()

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """See :meth:`Transport.send`."""
        url = urlsplit(request.url)
        if url.scheme != "https" and not is_loopback(url.hostname):
            raise ConfigError(f"{url.scheme}://{url.hostname} would send the token in the clear; use https")
        started = steady()
        exchange = Exchange(
            self._lock, deadline=started + timeout, max_idle=self._max_idle, resolve=self._resolve
        )
        self._running.add(exchange)
        # A call that waited half its time for a thread is not started: its reply would hardly come in time,
        # and a create without its reply is ambiguous.
        begin_by = started + timeout / 2
        try:
            async with asyncio.timeout(timeout):
                outcome = await self._workers.run(
                    partial(self._exchange, request, exchange, timeout, begin_by)
                )
        except TimeoutError:
            # First, because the worker could still start to send until it is cut off.
            exchange.cut_off()
            outcome = timed_out(url.netloc, exchange, timeout)
        finally:
            exchange.cut_off()
            self._running.discard(exchange)
        try:
            if isinstance(outcome, ProviderError):
                raise outcome
            return outcome
        finally:
            # An error is in a reference cycle with the frame whose variable holds it, and so is the request.
            del outcome

    async def aclose(self) -> None:
        """See :meth:`Transport.aclose`."""
        for exchange in self._running:
            exchange.cut_off()
        await self._workers.aclose(_CLOSING_SECONDS)
        self._adapter.close()

    def _exchange(
        self, request: Request, exchange: Exchange, timeout: float, begin_by: float
    ) -> Reply | ProviderError:
        """Send a request and read its reply, in a worker's thread.

        Errors are returned. An exception that is raised while one of requests' is handled would hold that one
        as its context, and with it the request's body, which has the token.
        """
        host = urlsplit(request.url).netloc
        if steady() > begin_by:
            return ServiceUnavailable(
                f"{host}: too many calls at once, so this one was not started; lower max_in_flight",
                nothing_created=True,
            )
        headers = {
            "User-Agent": self._settings.user_agent or f"captchahub/{__version__}",
            # RFC 9110 section 12.5.3, because the limit on the size of replies counts plain bytes.
            "Accept-Encoding": "identity",
            **request.headers,
        }
        message = requests.Request(request.method, request.url, headers=headers, data=request.body)
        proxy = exchange.proxy = self._proxy_for(request.url)
        trust = self._usable_trust() if request.url.lower().startswith("https") else None
        verify: Any = trust  # Adapter.cert_verify() takes it
        exchange.begin()
        try:
            response = self._adapter.send(
                message.prepare(),
                stream=True,
                # Only for a thread that the event loop could not cut off: it does so in time.
                timeout=timeout + _GRACE,
                verify=verify,
                proxies=None if proxy is None else {"https": proxy.url},
            )
            return self._read(response)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            # urllib3 leaves its errors in reference cycles with its frames, and those lead to the request.
            forget_frames(error)
            return failure(host, exchange, error, timeout, trust)

    def _read(self, response: requests.Response) -> Reply | ProviderError:
        limit = self._settings.max_reply_bytes
        body = bytearray()
        with response:
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > limit:
                    return MalformedReply(f"HTTP {response.status_code} with more than {limit} bytes")
        return Reply(response.status_code, bytes(body), response.headers)

    def _usable_trust(self) -> Trust:
        if self._settings.ca_bundle is not None:
            trust = named_trust(self._settings.ca_bundle, "the key ca_bundle of the provider")
        else:
            trust = environment_trust(os.environ) or Trust("requests", Path(DEFAULT_CA_BUNDLE_PATH))
        if trust != self._checked:
            if trust.fault is not None:
                raise ConfigError(trust.fault)
            self._checked = trust
        return trust

    def _proxy_for(self, url: str) -> Proxy | None:
        # Requests to this machine may be in clear text, and a proxy would see their token.
        if is_loopback(urlsplit(url).hostname):
            return None
        if self._settings.proxy:
            proxy: Proxy | None = Proxy(self._settings.proxy, "the key proxy of the provider")
        else:
            proxy = None if should_bypass_proxies(url, no_proxy=None) else environment_proxy("https")
        if proxy is not None and proxy.fault is not None:
            raise ConfigError(proxy.fault)
        return proxy


class Adapter(HTTPAdapter):
    """An adapter whose connections through a proxy are tracked like the others."""

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **proxy_kwargs)
        track(manager)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002 - as its base has it
        """Make the connections of a pool trust the certificates of a :class:`Trust`.

        requests takes one file or folder; OpenSSL's variables can name both, and several folders.
        """
        if verify is not None:
            conn.cert_reqs = "CERT_REQUIRED"
            conn.ca_certs = None if verify.file is None else str(verify.file)
            conn.ca_cert_dir = os.pathsep.join(map(str, verify.folders)) or None
