"""The kinds of providers that a configuration can use here."""

from __future__ import annotations

from typing import Any

from captchahub._config.reader import settings_fault
from captchahub._plugins.manager import Plugins, Unusable
from captchahub.cli.streams import say
from captchahub.errors import ConfigError
from captchahub.provider import ProviderKind

__all__ = ["usable_kinds"]


def usable_kinds(plugins: Plugins) -> list[ProviderKind[Any]]:
    """Return the kinds of all installed plugins; report the unusable ones on stderr, and leave them out."""
    kinds: list[ProviderKind[Any]] = []
    for name in plugins.kind_names():
        try:
            kind = plugins.kind(name)
        except (ConfigError, Unusable) as error:
            say(f"left out: {error}")
            continue
        fault = settings_fault(kind.settings)
        if fault is None:
            kinds.append(kind)
        else:
            say(f"left out: the plugin {name!r} is broken: {fault}; update it")
    return kinds
