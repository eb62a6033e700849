"""Records about plugins: whether each can be used and, if not, why."""

from __future__ import annotations

from enum import Enum

import attrs

__all__ = ["PluginRecord", "PluginState"]


class PluginState(Enum):
    """The state of a plugin."""

    INSTALLED = "installed"
    """It was not imported, because the configuration does not use it."""
    LOADED = "loaded"
    """It was imported, or passed in, and is used."""
    FAILED = "failed"
    """It cannot be imported, or breaks the contract."""
    BLOCKED = "blocked"
    """It was not imported, because the configuration or the environment blocks it."""
    INCOMPATIBLE = "incompatible"
    """It was written for another version of the contract."""


@attrs.frozen
class PluginRecord:
    """One plugin.

    ``name`` is the name of its entry point, or of the object that was passed in. ``distribution`` and
    ``version`` are those of its package, or None if it was passed in. ``kinds`` are the provider kinds and
    ``tasks`` the task kinds that it adds; ``hooks`` are the hooks that it implements. ``error`` says why it
    cannot be used and what to do, and ``traceback`` is the traceback of the error if it raised one.
    """

    name: str
    state: PluginState
    distribution: str | None = None
    version: str | None = None
    kinds: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    error: str | None = None
    traceback: str | None = None
