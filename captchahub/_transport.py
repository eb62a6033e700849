"""Requests in, replies out: the one place that knows of sockets, and where foreign errors become ours.

Redirects, cookies and ``.netrc`` play no part: requests' adapter is used without its session.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from captchahub._clock import steady
from captchahub._connections import Exchange, track
from captchahub._version import __version__
from captchahub._workers import Workers
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

    def __init__(self, name: str, settings: HttpSettings, *, max_idle: float = _MAX_IDLE) -> None:
        self._settings = settings
        self._max_idle = max_idle
        self._workers = Workers(name, _MAX_WORKERS)
        self._adapter = _Adapter(pool_connections=4, pool_maxsize=_MAX_WORKERS, max_retries=0)
        track(self._adapter.poolmanager)
        self._lock = threading.Lock()
        self._under_way: set[Exchange] = set()
        self._user_agent = settings.user_agent or f"captchahub/{__version__}"

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """See :meth:`Transport.send`."""
        _refuse_clear_text(request.url)
        exchange = Exchange(self._lock, self._max_idle)
        self._under_way.add(exchange)
        # A call that found no thread in half its time is not begun: what it orders could hardly be read.
        begin_by = steady() + timeout / 2
        try:
            async with asyncio.timeout(timeout):
                outcome = await self._workers.run(
                    partial(self._exchange, request, exchange, timeout, begin_by)
                )
        except TimeoutError:
            # Cut off first: only then is it settled whether anything was sent.
            exchange.cut_off()
            outcome = _timed_out(request, exchange, timeout)
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
        try:
            with exchange.running():
                return self._read(self._send(request, timeout))
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            return ServiceUnavailable(
                f"{_host(request)}: {_reason(error)}", nothing_created=not exchange.sent
            )

    def _send(self, request: Request, timeout: float) -> requests.Response:
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **request.headers}
        prepared = requests.Request(request.method, request.url, headers=headers, data=request.body).prepare()
        return self._adapter.send(
            prepared,
            stream=True,
            # The loop cuts the exchange off in time; these only let go of a thread that it could not reach.
            timeout=timeout + _GRACE,
            verify=self._trusted(),
            proxies=self._proxies(request.url),
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

    def _trusted(self) -> str | bool:
        if self._settings.ca_bundle:
            return str(self._settings.ca_bundle)
        bundle = os.environ.get("REQUESTS_CA_BUNDLE")
        if bundle and not Path(bundle).exists():
            raise ConfigError(
                f"the environment variable REQUESTS_CA_BUNDLE names {bundle}, which is not there"
            )
        return bundle or True

    def _proxies(self, url: str) -> dict[str, str]:
        # A proxy would see the token of a clear-text request, and those go to this machine only.
        if is_loopback(urlsplit(url).hostname):
            return {}
        if self._settings.proxy:
            return {"https": self._settings.proxy}
        return get_environ_proxies(url)


class _Adapter(HTTPAdapter):
    """An adapter whose connections through a proxy are tracked like the others."""

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> urllib3.ProxyManager:
        scheme = urlsplit(proxy).scheme
        if scheme not in ("http", "https"):
            found = f"not {scheme}://; look at the key proxy and at the variables HTTPS_PROXY and ALL_PROXY"
            raise ConfigError(f"a proxy must be an http:// or https:// address, {found}")
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **proxy_kwargs)
        return track(manager)


def _refuse_clear_text(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise ConfigError(f"{parts.scheme}://{parts.hostname} would send the token in the clear: use https")


def _host(request: Request) -> str:
    return urlsplit(request.url).netloc


def _timed_out(request: Request, exchange: Exchange, timeout: float) -> ServiceUnavailable:
    what = "no whole reply" if exchange.sent else "not connected"
    return ServiceUnavailable(
        f"{_host(request)}: {what} within {timeout:.1f} s", nothing_created=not exchange.sent
    )


def _innermost(error: BaseException) -> BaseException:
    """The exception that others were wrapped around: requests and urllib3 keep it in different places."""
    inner = getattr(error, "reason", None) or getattr(error, "original_error", None)
    if not isinstance(inner, BaseException):
        inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
    if inner is None or isinstance(error, (NewConnectionError, ssl.SSLError)):
        return error
    return _innermost(inner)


def _reason(error: BaseException) -> str:
    innermost = _innermost(error)
    if isinstance(innermost, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {innermost.verify_message}; for an own authority set ca_bundle"
    if isinstance(innermost, ssl.SSLError) and innermost.reason == "WRONG_VERSION_NUMBER":
        return "the server does not speak TLS there; check the port in base_url, and https against http"
    if isinstance(innermost, NameResolutionError):
        return "its name can't be resolved; check base_url and the network"
    if isinstance(innermost, NewConnectionError):
        cause = innermost.__cause__
        reason = getattr(cause, "strerror", None) or "no reply"
        return f"cannot connect: {reason}; check base_url and the network"
    if isinstance(innermost, OSError) and innermost.strerror:
        return f"the connection broke: {innermost.strerror}"
    return f"the connection broke: {type(innermost).__name__}"
