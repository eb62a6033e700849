"""Finding the emulations that installed plugins ship."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from captchahub._plugins.blocking import BLOCKED, is_blocked_by_environment
from captchahub._plugins.entry_points import package_of, points_in
from captchahub._plugins.manager import Plugins
from captchahub._support.wording import advise, shown
from captchahub.errors import ConfigError
from captchahub.testing.emulation import Emulation

__all__ = ["installed_emulations", "load_emulation", "misfit"]

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


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

_WORDS: Mapping[object, str] = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "text",
}


def misfit(make: Callable[..., object], options: Mapping[str, object]) -> str | None:
    """Why these can't be the options of what ``make`` makes, None where nothing speaks against it.

    Values are held against literals and plain classes; whatever else is annotated is left to ``make``.
    """
    parameters = _signature(make).parameters.values()
    known = {one.name: one.annotation for one in parameters if one.kind in _BY_NAME}
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    for name, value in options.items():
        if name not in known and not takes_any:
            return f"it has no option {name!r}; {advise(name, known, 'options')}"
        said = _mistake(known.get(name), value)
        if said is not None:
            return f"{name} {said}"
    return None


def _signature(make: Callable[..., object]) -> inspect.Signature:
    try:
        return inspect.signature(make, eval_str=True)
    # Annotations can name what is there for type checkers only.
    except Exception:  # noqa: BLE001 - somebody's annotations can fail in any way
        return inspect.signature(make)


def _mistake(annotation: Any, value: object) -> str | None:
    members = [one for one in get_args(annotation) if one is not NoneType]
    if isinstance(annotation, UnionType) and len(members) == 1:
        return None if value is None else _mistake(members[0], value)
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        if any(type(choice) is type(value) and choice == value for choice in choices):
            return None
        return f"can't be {shown(value)}; {advise(str(value), map(str, choices), 'valid')}"
    if not isinstance(annotation, type) or annotation is inspect.Parameter.empty or _is(annotation, value):
        return None
    return f"must be {_WORDS.get(annotation, f'a {annotation.__name__}')}, not {shown(value)}"


def _is(annotation: type, value: object) -> bool:
    if isinstance(value, bool):
        return annotation in (bool, object)
    try:
        return isinstance(value, (int, float) if annotation is float else annotation)
    # Any and most protocols are classes too, of which nobody can say what is one.
    except TypeError:
        return True
