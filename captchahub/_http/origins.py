"""The server that a URL names, and whether a token may be sent there."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import attrs

from captchahub._support.credentials import is_loopback
from captchahub.errors import ConfigError

# RFC 3986, section 3.2: an authority ends at the first of these. urllib3 counts the backslash, too.
_BEGINNING = re.compile(r"[^:/?#]*://[^/?#\\]*")


@attrs.frozen
class Origin:
    """A server, by its scheme, its host and its port."""

    url: str = attrs.field(repr=False)
    """The beginning of its URLs, without a slash at the end. It can hold a user and a password."""
    scheme: str
    host: str
    """As the URL has it, without brackets."""
    port: int

    @property
    def is_this_machine(self) -> bool:
        """Whether its host can only mean this machine."""
        return is_loopback(self.host)

    @property
    def has_usual_port(self) -> bool:
        """Whether its port is the one that its scheme implies."""
        return self.port == _PORTS[self.scheme]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.has_usual_port else f"{host}:{self.port}"


_PORTS = {"http": 80, "https": 443}


def beginning_of(url: str) -> str:
    """Return the part of a URL that names the server: its scheme, host and port as they are written."""
    found = _BEGINNING.match(url)
    return "" if found is None else found[0]


def name_of(url: str) -> str:
    """Return the host of a URL and its port, as messages name them."""
    return beginning_of(url).rpartition("/")[2].rpartition("@")[2]


def origin_of(url: str) -> Origin:
    """Return the server that a URL names.

    Raises :class:`~captchahub.errors.ConfigError` unless it is ``https``, or this machine, and ValueError if
    the URL is invalid.
    """
    parts = urlsplit(beginning_of(url))
    scheme, host = parts.scheme.lower(), parts.hostname
    if scheme != "https" and not (scheme == "http" and is_loopback(host)):
        raise ConfigError(f"{scheme}://{host} would send the token in the clear; use https")
    if not host:
        raise ValueError("a URL without a host")
    port = parts.port
    return Origin(parts.geturl(), scheme, host, _PORTS[scheme] if port is None else port)
