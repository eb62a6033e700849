"""Requests in, replies out: the one place that knows of sockets, and where foreign errors become ours.

Redirects, cookies and ``.netrc`` play no part: requests' adapter is used without its session.
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

from captchahub._http.certificates import Trust, environment_trust, own_trust
from captchahub._http.connections import Exchange, track
from captchahub._http.failures import failure, timed_out
from captchahub._http.happy_eyeballs import Resolve
from captchahub._http.proxies import Proxy, configured_proxy, environment_proxy
from captchahub._support.clock import steady
from captchahub._support.threads import Workers
from captchahub._version import __version__
from captchahub.errors import ConfigError, MalformedReply, ProviderError, ServiceUnavailable
from captchahub.provider import Reply, Request, is_loopback
from captchahub.settings import HttpSettings

__all__ = ["HttpTransport", "Transport"]

_CHUNK = 16 * 1024

_MAX_WORKERS = 32

_GRACE = 1.0

# Something on the way may have forgotten a connection that rested longer, in seconds: of an order sent into
# it nobody knows whether it arrived.
_MAX_IDLE = 15.0

_CROWDED = "too many calls at once, so this one was not begun; lower max_in_flight"

# The certificates that requests brings.
_USUAL = Trust("requests", Path(DEFAULT_CA_BUNDLE_PATH))

# How long closing waits for a thread that nothing can interrupt, such as one in a name look-up, in seconds.
_PATIENCE = 2.0


class Transport(Protocol):
    """Sends requests for one provider."""

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """The reply, whole, within ``timeout`` seconds.

        Raises :class:`~captchahub.errors.ServiceUnavailable`, whose ``nothing_created`` is True where the
        request is known not to have been sent, or :class:`~captchahub.errors.MalformedReply` for a reply
        over the size limit.
        """
        ...

    async def aclose(self) -> None:
        """Cut off what is under way and let go of every thread and socket."""
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
        self._adapter = _Adapter(pool_connections=4, pool_maxsize=_MAX_WORKERS, max_retries=0)
        track(self._adapter.poolmanager)
        self._checked: Trust | None = None
        """What to trust that was found usable."""
        self._lock = threading.Lock()
        self._under_way: set[Exchange] = set()
        self._user_agent = settings.user_agent or f"captchahub/{__version__}"

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """See :meth:`Transport.send`."""
        _refuse_clear_text(request.url)
        begun = steady()
        exchange = Exchange(
            self._lock, deadline=begun + timeout, max_idle=self._max_idle, resolve=self._resolve
        )
        self._under_way.add(exchange)
        # A call that found no thread in half its time is not begun: what it orders could hardly be read.
        begin_by = begun + timeout / 2
        try:
            async with asyncio.timeout(timeout):
                outcome = await self._workers.run(
                    partial(self._exchange, request, exchange, timeout, begin_by)
                )
        except TimeoutError:
            # Cut off first: only then is it settled whether anything was sent.
            exchange.cut_off()
            outcome = timed_out(_host(request), exchange, timeout)
        finally:
            exchange.cut_off()
            self._under_way.discard(exchange)
        if isinstance(outcome, ProviderError):
            raise outcome
        return outcome

    async def aclose(self) -> None:
        """See :meth:`Transport.aclose`."""
        for exchange in self._under_way:
            exchange.cut_off()
        await self._workers.aclose(_PATIENCE)
        self._adapter.close()

    # Errors are returned, not raised: an exception raised while handling one of requests' would carry that
    # one along, and with it the request's body, which holds the token.
    def _exchange(
        self, request: Request, exchange: Exchange, timeout: float, begin_by: float
    ) -> Reply | ProviderError:
        if steady() > begin_by:
            return ServiceUnavailable(f"{_host(request)}: {_CROWDED}", nothing_created=True)
        exchange.proxy = _usable(self._proxy_for(request.url))
        trust = self._checked_trust() if request.url.lower().startswith("https") else None
        try:
            with exchange.running():
                return self._read(self._send(request, timeout, exchange.proxy, trust))
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            return failure(_host(request), exchange, error, timeout, trust)

    def _send(
        self, request: Request, timeout: float, proxy: Proxy | None, trust: Trust | None
    ) -> requests.Response:
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **request.headers}
        prepared = requests.Request(request.method, request.url, headers=headers, data=request.body).prepare()
        verify: Any = trust  # as _Adapter.cert_verify() takes it
        return self._adapter.send(
            prepared,
            stream=True,
            # The loop cuts the exchange off in time; these only let go of a thread that it could not reach.
            timeout=timeout + _GRACE,
            verify=verify,
            proxies=None if proxy is None else {"https": proxy.url},
        )

    def _read(self, response: requests.Response) -> Reply | ProviderError:
        limit = self._settings.max_reply_bytes
        body = bytearray()
        with response:
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > limit:
                    return MalformedReply(f"HTTP {response.status_code} with more than {limit} bytes")
        return Reply(response.status_code, bytes(body), response.headers)

    def _checked_trust(self) -> Trust:
        own = self._settings.ca_bundle
        trust = own_trust(own) if own is not None else environment_trust(os.environ) or _USUAL
        if trust != self._checked:
            if trust.fault is not None:
                raise ConfigError(trust.fault)
            self._checked = trust
        return trust

    def _proxy_for(self, url: str) -> Proxy | None:
        # A proxy would see the token of a clear-text request, and those go to this machine only.
        if is_loopback(urlsplit(url).hostname):
            return None
        if self._settings.proxy:
            return configured_proxy(self._settings.proxy)
        return None if should_bypass_proxies(url, no_proxy=None) else environment_proxy("https")


class _Adapter(HTTPAdapter):
    """An adapter whose connections through a proxy are tracked like the others."""

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **proxy_kwargs)
        return track(manager)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002 - as its base has it
        """Have the connections of a pool verify by a :class:`Trust`, which can be a file and folders."""
        if verify is not None:
            conn.cert_reqs = "CERT_REQUIRED"
            conn.ca_certs = None if verify.file is None else str(verify.file)
            conn.ca_cert_dir = verify.folder_path


def _usable(proxy: Proxy | None) -> Proxy | None:
    if proxy is not None and proxy.fault is not None:
        raise ConfigError(proxy.fault)
    return proxy


def _host(request: Request) -> str:
    return urlsplit(request.url).netloc


def _refuse_clear_text(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise ConfigError(f"{parts.scheme}://{parts.hostname} would send the token in the clear: use https")
