"""Describes why an exchange failed, naming what is at fault: the service, the proxy or the certificates."""

from __future__ import annotations

from enum import Enum, auto
from http import HTTPStatus
from typing import Protocol

import attrs

from captchahub._http.proxies import Proxy
from captchahub.errors import CaptchaHubError, MalformedReply, ServiceUnavailable
from captchahub.provider import Reply

_PRIVATE_CA = "for a private CA, set ca_bundle"


class Cause(Enum):
    """What broke an exchange."""

    BAD_ADDRESS = auto()
    """The URL or the host name in it is invalid."""
    UNRESOLVED = auto()
    """The host name has no address."""
    UNREACHABLE = auto()
    """No address of the host takes connections. The detail is the system's message."""
    UNTRUSTED = auto()
    """The certificate failed verification. The detail is OpenSSL's message."""
    NOT_TLS = auto()
    """What answers does not speak TLS."""
    REFUSED_BY_PROXY = auto()
    """The proxy does not connect to the service. The detail is the HTTP status of its reply."""
    BROKEN = auto()
    """The connection broke. The detail is the system's message, or the type of the error."""


@attrs.frozen
class Breakage:
    """Why an exchange broke. ``detail`` depends on the cause, and never quotes an address or a token."""

    cause: Cause
    detail: str = ""


class Progress(Protocol):
    """How far an exchange had got when it ended."""

    @property
    def may_have_sent(self) -> bool:
        """Whether any byte of the request may have left: from then on, a job may have been created."""
        ...

    @property
    def proxy(self) -> Proxy | None:
        """The proxy that it goes through, or None."""
        ...

    @property
    def is_through_proxy(self) -> bool:
        """Whether that proxy has connected to the service."""
        ...


def failure(host: str, progress: Progress, breakage: Breakage) -> ServiceUnavailable:
    """Return the error of an exchange with a host that broke."""
    proxy = None if progress.may_have_sent else progress.proxy
    if proxy is not None and not progress.is_through_proxy:
        reason = f"{proxy} {_proxy_reason(breakage)}"
    else:
        reason = _service_reason(breakage, proxy)
    return ServiceUnavailable(f"{host}: {reason}", nothing_created=not progress.may_have_sent)


def timed_out(host: str, progress: Progress, timeout: float) -> ServiceUnavailable:
    """Return the error of an exchange that took longer than ``timeout`` seconds."""
    if progress.may_have_sent:
        what = "no complete reply"
    elif progress.proxy is not None and not progress.is_through_proxy:
        what = f"{progress.proxy} did not connect"
    else:
        what = "not connected"
    return ServiceUnavailable(
        f"{host}: {what} within {timeout:.1f} s", nothing_created=not progress.may_have_sent
    )


def reply_of(outcome: Reply | CaptchaHubError) -> Reply:
    """Return the reply of an exchange, or raise the error that it ended with."""
    try:
        if isinstance(outcome, Reply):
            return outcome
        raise outcome
    finally:
        # An error is in a reference cycle with the frame whose variable holds it, and so is the request.
        del outcome


def not_started(host: str) -> ServiceUnavailable:
    """Return the error of a call that waited too long for its turn."""
    return ServiceUnavailable(
        f"{host}: too many calls at once, so this one was not started; lower max_in_flight",
        nothing_created=True,
    )


def too_large(status: int, limit: int) -> MalformedReply:
    """Return the error of a reply with more than ``limit`` bytes."""
    return MalformedReply(f"HTTP {status} with more than {limit} bytes")


def _proxy_reason(breakage: Breakage) -> str:
    """Return what went wrong on the way to a proxy or in it, in words that follow its name."""
    match breakage.cause:
        case Cause.UNTRUSTED:
            return f"has a certificate that failed verification: {breakage.detail}; {_PRIVATE_CA}"
        case Cause.NOT_TLS:
            return "does not speak TLS; write its address with http:// instead of https://"
        case Cause.UNRESOLVED | Cause.BAD_ADDRESS:
            return "has a name that can't be resolved; check its address and the network"
        case Cause.UNREACHABLE:
            return f"can't be connected to: {breakage.detail}; check its address, and whether it runs"
        case Cause.REFUSED_BY_PROXY:
            return _refusal_reason(breakage.detail)
        case Cause.BROKEN:
            return f"broke the connection: {breakage.detail}; check its address, and that it is an HTTP proxy"


def _refusal_reason(status: str) -> str:
    # Without the proxy's own words, which can repeat the password that it was sent.
    if status == str(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED.value):
        return (
            "refuses the user (HTTP 407); check the user and the password in its address, such as "
            "http://USER:PASSWORD@HOST:PORT"
        )
    return f"did not connect (HTTP {status}); check whether it allows this host, and reaches it"


def _service_reason(breakage: Breakage, proxy: Proxy | None) -> str:
    match breakage.cause:
        case Cause.UNTRUSTED:
            # Proxies that read TLS show a certificate of their own for every host.
            own = f"{proxy} may have shown its own instead; " if proxy is not None else ""
            return f"certificate verification failed: {breakage.detail}; {own}{_PRIVATE_CA}"
        case Cause.NOT_TLS:
            return "the server does not speak TLS at this port; check base_url: its port, and https or http"
        case Cause.UNRESOLVED:
            return "the name can't be resolved; check base_url and the network"
        case Cause.UNREACHABLE:
            return f"cannot connect: {breakage.detail}; check base_url and the network"
        case Cause.BAD_ADDRESS:
            return "not a valid address; check base_url"
        case Cause.REFUSED_BY_PROXY | Cause.BROKEN:
            return f"the connection broke: {breakage.detail}"
