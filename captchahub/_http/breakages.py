"""What the errors of urllib3, http.client and sockets mean."""

from __future__ import annotations

import re
import ssl
from http.client import HTTPException

from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
)

from captchahub._http.failures import Breakage, Cause

ERRORS = (HTTPError, HTTPException, OSError, ValueError)
"""The errors that an exchange can end with."""

# http.client raises a plain OSError with these words if a proxy refuses a CONNECT (RFC 9110 section 9.3.6).
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: ([0-9]{3})")


def breakage_of(error: BaseException) -> Breakage:
    """Return what broke an exchange that ended with one of ``ERRORS``."""
    match error:
        case ssl.SSLCertVerificationError():
            return Breakage(Cause.UNTRUSTED, error.verify_message)
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
            return Breakage(Cause.NOT_TLS)
        case NameResolutionError():
            return Breakage(Cause.UNRESOLVED)
        case NewConnectionError():
            return Breakage(Cause.UNREACHABLE, getattr(error.__cause__, "strerror", None) or "no reply")
        case LocationValueError():
            return Breakage(Cause.BAD_ADDRESS)
        case _:
            return _other(error)


def _other(error: BaseException) -> Breakage:
    refusal = _TUNNEL_REFUSED.match(str(error))
    if refusal is not None:
        return Breakage(Cause.REFUSED_BY_PROXY, refusal[1])
    if isinstance(error, ProtocolError):
        error = next((arg for arg in error.args if isinstance(arg, BaseException)), error)
    # Not the whole message, which can quote the address with its token.
    strerror = error.strerror if isinstance(error, OSError) else None
    return Breakage(Cause.BROKEN, strerror or type(error).__name__)
