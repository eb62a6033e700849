"""Finding the emulations that installed plugins ship."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, entry_points

from captchahub.errors import ConfigError
from captchahub.testing.emulation import Emulation

__all__ = ["installed_emulations", "load_emulation"]

GROUP = "captchahub.sandbox"


def installed_emulations() -> list[str]:
    """The names of the provider kinds that can be emulated here."""
    return sorted(entry_points(group=GROUP).names)


def load_emulation(name: str) -> Emulation:
    """The emulation of a provider kind's service, such as ``omocaptcha``.

    Raises :class:`~captchahub.errors.ConfigError` where no installed plugin ships one, two do, or it can't be
    loaded.
    """
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        installed = ", ".join(installed_emulations()) or "none"
        # Plugins are packages of this name; what is no such name must not get into a command to copy.
        is_package = re.fullmatch(r"[a-z0-9]+([-_][a-z0-9]+)*", name) is not None
        install = f"pip install captchahub-{name}" if is_package else "install the plugin that adds it"
        raise ConfigError(f"no installed plugin emulates {name!r}; installed: {installed}. Try: {install}")
    if len(found) > 1:
        packages = " and ".join(sorted(_package(entry) for entry in found))
        raise ConfigError(f"{name!r} is emulated by two packages, {packages}: uninstall one")
    return _load(found[0])


def _load(entry: EntryPoint) -> Emulation:
    try:
        emulation: object = entry.load()()
    # A plugin's import can fail in any way; the message must name the plugin.
    except Exception as error:
        raise ConfigError(f"{_about(entry)} can't be loaded: {error!r}; reinstall the package") from error
    if not isinstance(emulation, Emulation):
        raise ConfigError(f"{_about(entry)} is a {type(emulation).__name__}, not an Emulation")
    return emulation


def _about(entry: EntryPoint) -> str:
    return f"the emulation {entry.name!r} ({entry.value}) of {_package(entry)}"


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown package"
