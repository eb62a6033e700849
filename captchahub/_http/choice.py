"""Chooses what sends the requests of a provider: the fast transport where its package is installed."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from captchahub._http.network import Network
from captchahub._http.transport import HttpTransport, Transport
from captchahub._support.shadowing import how_to_get
from captchahub.errors import ConfigError
from captchahub.settings import HttpSettings

# What the extra "fast" asks for.
_OLDEST_AIOHTTP = (3, 11)


def transport_kind(settings: HttpSettings) -> Literal["requests", "fast"]:
    """Return which transport is used: the one of the settings, or else the fast one if it is installed."""
    return settings.transport or ("fast" if _is_installed() else "requests")


def http_transport(name: str, settings: HttpSettings, network: Network | None = None) -> Transport:
    """Return the transport of a provider. ``network`` is what the providers of a hub share.

    Raises :class:`~captchahub.errors.ConfigError` if the settings name one whose package is not installed.
    """
    if transport_kind(settings) == "requests":
        return HttpTransport(name, settings, network=network)
    # Without the key, the fast one is chosen only if it is installed.
    if settings.transport is not None and not _is_installed():
        needed = how_to_get(ImportError(name="aiohttp"), "fast")
        raise ConfigError(f"providers.{name}.transport: fast needs {needed}; or remove the key transport")
    # Only here, because importing aiohttp takes a while.
    from captchahub._http.fast_transport import FastTransport  # noqa: PLC0415 - see above

    return FastTransport(name, settings, network=network)


def _is_installed() -> bool:
    try:
        found = re.match(r"(\d+)\.(\d+)", version("aiohttp"))
    except PackageNotFoundError:
        return False
    return found is not None and (int(found[1]), int(found[2])) >= _OLDEST_AIOHTTP
