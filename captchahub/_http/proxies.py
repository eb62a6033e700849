"""Proxies: which one a request goes through, who named it, and whether its address can be one.

An address can hold a password. So no message repeats one that can't be read, and of one that can, only its
scheme, host and port.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

import attrs

__all__ = ["Proxy", "configured_proxy", "environment_proxy", "proxy_fault"]

EXAMPLE = "http://127.0.0.1:3128"


@attrs.frozen
class Proxy:
    """A proxy, and where it was named: a key, a variable."""

    url: str = attrs.field(repr=False)
    source: str

    @property
    def fault(self) -> str | None:
        """Why the address can't be one, and what to do; None where it can."""
        why = proxy_fault(self.url)
        return None if why is None else f"{self.source} holds no address of a proxy that can be used: {why}"

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = "" if parts.port is None else f":{parts.port}"
        return f"the proxy {parts.scheme}://{host}{port} ({self.source})"


def configured_proxy(address: str) -> Proxy:
    """The proxy that the configuration names."""
    return Proxy(address, "the key proxy of the provider")


def environment_proxy(scheme: str) -> Proxy | None:
    """The proxy that the environment, or else the system, names for addresses of a scheme."""
    found = urllib.request.getproxies()
    for name in (scheme, "all"):
        if found.get(name):
            address = found[name]
            source = _source(name, address, os.environ)
            # As other programs do: without a scheme, it is http.
            return Proxy(address if "://" in address else f"http://{address}", source)
    return None


def _source(name: str, address: str, environment: Mapping[str, str]) -> str:
    variables = {variable for variable in environment if variable.lower() == f"{name}_proxy"}
    # Those in small letters are the stronger ones.
    for variable in sorted(variables, reverse=True):
        if environment[variable] == address:
            return f"the environment variable {variable}"
    return "the proxy settings of this system"


def proxy_fault(address: str) -> str | None:
    """Why a text is not the address of an HTTP proxy, without any piece of it; None where it is one."""
    return next(_faults(address), None)


def _faults(address: str) -> Iterator[str]:
    if not address.isascii() or not address.isprintable() or " " in address:
        yield f"write it in ASCII and without spaces, such as {EXAMPLE}"
        return
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        yield f"its host or its port can't be read; write it such as {EXAMPLE}, {_ENCODED}"
        return
    yield from _misread(parts, port)


_ENCODED = "with each '/', '?', '#' and '@' of a user or a password as %2F, %3F, %23 and %40"


def _misread(parts: SplitResult, port: int | None) -> Iterator[str]:
    if parts.scheme not in ("http", "https"):
        yield f"a proxy must be an http:// or https:// address, such as {EXAMPLE}"
    if not parts.hostname or "%" in parts.hostname or port == 0:
        yield f"it has no host, or no possible port; write it such as {EXAMPLE}"
    # The rest of a password looks like this where its characters are not encoded.
    if parts.path.strip("/") or parts.query or parts.fragment:
        yield f"something follows its port; write it such as {EXAMPLE}, {_ENCODED}"
