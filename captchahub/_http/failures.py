"""Why an exchange failed, in words that name who is at fault: the service, the proxy, the certificates."""

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

__all__ = ["failure", "timed_out"]

# What the standard library says of a proxy's reply to CONNECT.
_NOT_TUNNELLED = re.compile(r"Tunnel connection failed: ([0-9]{3})")


def failure(
    host: str, exchange: Exchange, error: BaseException, timeout: float, trust: Trust | None
) -> ServiceUnavailable:
    """What to say of an exchange that ended with an error."""
    innermost = _innermost(error)
    # The other errors of connecting are subclasses.
    if type(innermost) is ConnectTimeoutError:
        return timed_out(host, exchange, timeout)
    proxy = None if exchange.sent else exchange.proxy
    # Certificates that were usable once can have been changed since.
    fault = trust.fault if trust and isinstance(innermost, OSError) and not exchange.sent else None
    if fault is not None:
        words = fault
    elif proxy is not None and not exchange.is_through_proxy:
        words = f"{proxy} {_of_proxy(innermost)}"
    else:
        words = _of_service(innermost, proxy)
    return ServiceUnavailable(f"{host}: {words}", nothing_created=not exchange.sent)


def timed_out(host: str, exchange: Exchange, timeout: float) -> ServiceUnavailable:
    """What to say of an exchange whose time was up."""
    if exchange.sent:
        what = "no whole reply"
    elif exchange.proxy is not None and not exchange.is_through_proxy:
        what = f"{exchange.proxy} did not connect"
    else:
        what = "not connected"
    return ServiceUnavailable(f"{host}: {what} within {timeout:.1f} s", nothing_created=not exchange.sent)


def _innermost(error: BaseException) -> BaseException:
    """The exception that others were wrapped around: requests and urllib3 keep it in different places."""
    inner = getattr(error, "reason", None) or getattr(error, "original_error", None)
    if not isinstance(inner, BaseException):
        inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
    if inner is None or isinstance(error, (NewConnectionError, ssl.SSLError)):
        return error
    return _innermost(inner)


def _of_proxy(error: BaseException) -> str:
    """What went wrong between here and a proxy, or at it; the words go on from its name."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"shows a certificate that is refused: {error.verify_message}; for an own authority set ca_bundle"
        )
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "does not speak TLS; write its address with http:// instead of https://"
    if isinstance(error, NameResolutionError):
        return "has a name that can't be resolved; check its address and the network"
    if isinstance(error, NewConnectionError):
        return f"can't be connected to: {_cause(error)}; check its address, and whether it runs"
    refusal = _NOT_TUNNELLED.match(str(error))
    if refusal is not None:
        return _of_refusal(int(refusal[1]))
    return f"broke the connection: {_told(error)}; check its address, and that it is an HTTP proxy"


def _of_refusal(status: int) -> str:
    # Not in the proxy's own words, which may hold what it was sent.
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        wanted = "check the user and the password in its address, such as http://USER:PASSWORD@HOST:PORT"
        return f"refuses the user (HTTP 407); {wanted}"
    return f"did not connect (HTTP {status}); see whether it allows this host, and reaches it"


def _of_service(error: BaseException, proxy: Proxy | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        own = f"{proxy} may show its own in the place of it; " if proxy is not None else ""
        return f"its certificate is refused: {error.verify_message}; {own}for an own authority set ca_bundle"
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "the server does not speak TLS there; check the port in base_url, and https against http"
    if isinstance(error, NameResolutionError):
        return "its name can't be resolved; check base_url and the network"
    if isinstance(error, NewConnectionError):
        return f"cannot connect: {_cause(error)}; check base_url and the network"
    if isinstance(error, (InvalidURL, LocationValueError)):
        return "this is no address; check base_url"
    return f"the connection broke: {_told(error)}"


def _cause(error: NewConnectionError) -> str:
    return getattr(error.__cause__, "strerror", None) or "no reply"


def _told(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
