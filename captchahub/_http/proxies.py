"""Which proxy a request goes through, where that is configured, and whether its address is valid.

An address can hold a password. So messages never quote an invalid one, and only scheme, host and port of a
valid one.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import attrs
from urllib3.util import make_headers

_EXAMPLE = "http://127.0.0.1:3128"

_ENCODED = "with each '/', '?', '#' and '@' of a user or a password as %2F, %3F, %23 and %40"


@attrs.frozen
class Proxy:
    """A proxy; ``source`` is the key or variable that names it."""

    url: str = attrs.field(repr=False)
    source: str

    @property
    def fault(self) -> str | None:
        """Why its address is invalid, and what to do, or None if it is valid."""
        why = proxy_fault(self.url)
        return None if why is None else f"{self.source} holds no valid address of a proxy: {why}"

    @property
    def url_without_user(self) -> str:
        """Its address without user and password."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    @property
    def fields(self) -> Mapping[str, str]:
        """The headers of a CONNECT: the user and the password in its address."""
        user = urlsplit(self.url).netloc.rpartition("@")[0]
        return make_headers(proxy_basic_auth=unquote(user)) if user else {}

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = "" if parts.port is None else f":{parts.port}"
        return f"the proxy {parts.scheme}://{host}{port} ({self.source})"


def environment_proxy(scheme: str) -> Proxy | None:
    """Return the proxy that the environment, or else the system, names for a scheme, or None."""
    found = urllib.request.getproxies()
    for name in (scheme, "all"):
        if found.get(name):
            address = found[name]
            # curl and requests take an address without a scheme as http, too.
            return Proxy(address if "://" in address else f"http://{address}", _source(name, address))
    return None


def _source(name: str, address: str) -> str:
    # getproxies() prefers the variable in small letters, which is the last one in this order.
    for variable in sorted(os.environ, reverse=True):
        if variable.lower() == f"{name}_proxy" and os.environ[variable] == address:
            return f"the environment variable {variable}"
    return "the proxy settings of this system"


def proxy_fault(address: str) -> str | None:
    """Return why a text is not the address of an HTTP proxy, or None if it is one. It is never quoted."""
    if not address.isascii() or not address.isprintable() or " " in address:
        return f"write it in ASCII and without spaces, such as {_EXAMPLE}"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return f"its host or its port can't be read; write it like {_EXAMPLE}, {_ENCODED}"
    if parts.scheme not in ("http", "https"):
        return f"a proxy must be an http:// or https:// address, such as {_EXAMPLE}"
    if not parts.hostname or "%" in parts.hostname or port == 0:
        return f"it has no host, or no valid port; write it like {_EXAMPLE}"
    # Such as the rest of a password whose special characters are not percent-encoded (RFC 3986, section 2.1).
    if parts.path.strip("/") or parts.query or parts.fragment:
        return f"something follows its port; write it like {_EXAMPLE}, {_ENCODED}"
    return None
