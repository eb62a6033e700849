"""Faults of the environment that keep a provider from being reached, for ``config check``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from captchahub._http.certificates import environment_trust
from captchahub._http.proxies import environment_proxy
from captchahub.provider import is_loopback
from captchahub.settings import ProviderSettings

__all__ = ["environment_faults"]


def environment_faults(settings: ProviderSettings) -> Iterator[str]:
    """Yield a message for each variable that a provider would use but can't, with what to do."""
    if not _is_elsewhere(settings.own):
        return
    named = [
        None if settings.http.ca_bundle else environment_trust(os.environ),
        None if settings.http.proxy else environment_proxy("https"),
    ]
    for one in named:
        if one is not None and one.fault is not None:
            yield one.fault


def _is_elsewhere(own: object) -> bool:
    """Whether the settings of a plugin are for a service on another machine.

    An engine in this process has no ``base_url``. One that is None means the service's own.
    """
    address = getattr(own, "base_url", "")
    return address is None or (
        isinstance(address, str) and not is_loopback(urlsplit(address).hostname or "localhost")
    )
