"""Finding the emulations that installed plugins ship."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint

from captchahub._config.problems import advise
from captchahub._entry_points import package_of, points_in
from captchahub._plugins import BLOCKED, Plugins, is_blocked_by_environment
from captchahub.errors import ConfigError
from captchahub.testing._options import misfit
from captchahub.testing.emulation import Emulation

__all__ = ["installed_emulations", "load_emulation"]

GROUP = "captchahub.sandbox"


def installed_emulations() -> list[str]:
    """The names of the provider kinds that can be emulated here."""
    return sorted({point.name for point in points_in(GROUP)})


def load_emulation(name: str, /, **options: object) -> Emulation:
    """The emulation of a provider kind's service: ``load_emulation("createtask", dialect="capsolver")``.

    ``options`` are those of the emulation's own class, such as which dialect it speaks. Raises
    :class:`~captchahub.errors.ConfigError` where no installed plugin ships one, two do, it is blocked, it
    can't be loaded, or it does not take these options.
    """
    found = [point for point in points_in(GROUP) if point.name == name]
    if not found:
        raise ConfigError(f"no installed plugin emulates {name!r}; {_instead_of(name)}")
    if len(found) > 1:
        packages = " and ".join(sorted(_package(entry) for entry in found))
        raise ConfigError(f"{name!r} is emulated by two packages, {packages}: uninstall one")
    return _load(found[0], options)


def _instead_of(name: str) -> str:
    meant = Plugins().meant_by(name)
    if meant is not None:
        kind, keys = meant
        options = "".join(f", {key}={value}" for key, value in keys.items())
        return f"it is one of {kind}: use {kind}{options}"
    known = advise(name, installed_emulations(), "installed")
    # No package is named: one that nobody here knows of may be anybody's.
    return f"{known}; or install the plugin that adds it"


def _load(entry: EntryPoint, options: Mapping[str, object]) -> Emulation:
    if is_blocked_by_environment(entry.name, _package(entry)):
        raise ConfigError(f"{_about(entry)} is blocked by ${BLOCKED}; take it out there to use it")
    try:
        make = entry.load()
        mistake = misfit(make, options) if options else None
        emulation: object = None if mistake else make(**options)
    # A plugin's code can fail in any way; the message must name the plugin.
    except Exception as error:
        if options and isinstance(error, ValueError):
            words = " ".join(str(error).split())
            raise ConfigError(f"{_about(entry)}: it refuses {', '.join(options)}: {words}") from error
        raise ConfigError(f"{_about(entry)} can't be loaded: {error!r}; reinstall the package") from error
    if mistake:
        raise ConfigError(f"{_about(entry)}: {mistake}")
    if not isinstance(emulation, Emulation):
        raise ConfigError(f"{_about(entry)} is a {type(emulation).__name__}, not an Emulation")
    return emulation


def _about(entry: EntryPoint) -> str:
    return f"the emulation {entry.name!r} ({entry.value}) of {_package(entry)}"


def _package(entry: EntryPoint) -> str:
    return package_of(entry) or "an unknown package"
