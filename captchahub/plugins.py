"""What there is to tell of a plugin: whether it can be used, and if not, why."""

from __future__ import annotations

from enum import Enum

import attrs

__all__ = ["PluginRecord", "PluginState"]


class PluginState(Enum):
    """How far a plugin has come."""

    INSTALLED = "installed"
    """Nothing uses it, so it was not imported."""
    LOADED = "loaded"
    FAILED = "failed"
    """It can't be imported, or breaks the contract."""
    BLOCKED = "blocked"
    """The configuration or the environment forbids it, so it was not imported."""
    INCOMPATIBLE = "incompatible"
    """It was written for another version of the contract."""


@attrs.frozen
class PluginRecord:
    """One plugin.

    ``name`` is that of its entry point, or of the object that was passed in; ``distribution`` and ``version``
    are those of its package, None where it was passed in. ``kinds`` are the provider kinds and ``tasks`` the
    task kinds that it adds, ``hooks`` what it implements. ``error`` says why it can't be used and what to do;
    ``traceback`` is that of the error, where it raised one.
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
