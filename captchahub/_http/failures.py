"""Describes why an exchange failed, naming what is at fault: the service, the proxy or the certificates."""

from __future__ import annotations

import re
import ssl
from http import HTTPStatus

from requests.exceptions import InvalidURL
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
)

from captchahub._http.certificates import Trust
from captchahub._http.connections import Exchange
from captchahub._http.proxies import Proxy
from captchahub.errors import ServiceUnavailable

# http.client raises a plain OSError with these words if a proxy refuses a CONNECT (RFC 9110 section 9.3.6).
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: ([0-9]{3})")

_PRIVATE_CA = "for a private CA, set ca_bundle"


def failure(
    host: str, exchange: Exchange, error: BaseException, timeout: float, trust: Trust | None
) -> ServiceUnavailable:
    """Return the error of an exchange that ended with an exception of requests, urllib3 or a socket."""
    innermost = _innermost(error)
    # Not isinstance(): NewConnectionError and NameResolutionError are subclasses of it.
    if type(innermost) is ConnectTimeoutError:
        return timed_out(host, exchange, timeout)
    proxy = None if exchange.may_have_sent else exchange.proxy
    # The certificates were checked before they were first used, and can have changed since.
    fault = trust.fault if trust and isinstance(innermost, OSError) and not exchange.may_have_sent else None
    if fault is not None:
        reason = fault
    elif proxy is not None and not exchange.is_through_proxy:
        reason = f"{proxy} {_proxy_reason(innermost)}"
    else:
        reason = _service_reason(innermost, proxy)
    return ServiceUnavailable(f"{host}: {reason}", nothing_created=not exchange.may_have_sent)


def timed_out(host: str, exchange: Exchange, timeout: float) -> ServiceUnavailable:
    """Return the error of an exchange that took longer than ``timeout`` seconds."""
    if exchange.may_have_sent:
        what = "no complete reply"
    elif exchange.proxy is not None and not exchange.is_through_proxy:
        what = f"{exchange.proxy} did not connect"
    else:
        what = "not connected"
    return ServiceUnavailable(
        f"{host}: {what} within {timeout:.1f} s", nothing_created=not exchange.may_have_sent
    )


def _innermost(error: BaseException) -> BaseException:
    # requests and urllib3 wrap errors several times, and keep the inner one in different places: ``reason``
    # (MaxRetryError), ``original_error`` (ProxyError), or among the arguments (ConnectionError).
    inner = getattr(error, "reason", None) or getattr(error, "original_error", None)
    if not isinstance(inner, BaseException):
        inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
    # Those two say more than what they wrap.
    if inner is None or isinstance(error, (NewConnectionError, ssl.SSLError)):
        return error
    return _innermost(inner)


def _proxy_reason(error: BaseException) -> str:
    """Return what went wrong on the way to a proxy or in it, in words that follow its name."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that failed verification: {error.verify_message}; {_PRIVATE_CA}"
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "does not speak TLS; write its address with http:// instead of https://"
    if isinstance(error, NameResolutionError):
        return "has a name that can't be resolved; check its address and the network"
    if isinstance(error, NewConnectionError):
        return f"can't be connected to: {_cause(error)}; check its address, and whether it runs"
    refusal = _TUNNEL_REFUSED.match(str(error))
    if refusal is not None:
        return _refusal_reason(int(refusal[1]))
    return f"broke the connection: {_short(error)}; check its address, and that it is an HTTP proxy"


def _refusal_reason(status: int) -> str:
    # Without the proxy's own words, which can repeat the password that it was sent.
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return (
            "refuses the user (HTTP 407); check the user and the password in its address, such as "
            "http://USER:PASSWORD@HOST:PORT"
        )
    return f"did not connect (HTTP {status}); check whether it allows this host, and reaches it"


def _service_reason(error: BaseException, proxy: Proxy | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        # Proxies that read TLS show a certificate of their own for every host.
        own = f"{proxy} may have shown its own instead; " if proxy is not None else ""
        return f"certificate verification failed: {error.verify_message}; {own}{_PRIVATE_CA}"
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "the server does not speak TLS at this port; check base_url: its port, and https or http"
    if isinstance(error, NameResolutionError):
        return "the name can't be resolved; check base_url and the network"
    if isinstance(error, NewConnectionError):
        return f"cannot connect: {_cause(error)}; check base_url and the network"
    if isinstance(error, (InvalidURL, LocationValueError)):
        return "not a valid address; check base_url"
    return f"the connection broke: {_short(error)}"


def _cause(error: NewConnectionError) -> str:
    return getattr(error.__cause__, "strerror", None) or "no reply"


def _short(error: BaseException) -> str:
    # Not the whole message, which can quote the address with its token.
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
