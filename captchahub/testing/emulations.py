"""Finds and loads the emulations of installed plugins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from captchahub._plugins.entry_points import BLOCKED, is_blocked_by_environment, package_of, points_in
from captchahub._plugins.manager import Plugins
from captchahub._support.wording import advise, shown
from captchahub.errors import ConfigError
from captchahub.testing.emulation import Emulation

__all__ = ["installed_emulations", "load_emulation", "option_error"]

GROUP = "captchahub.sandbox"


def installed_emulations() -> list[str]:
    """Return the names of the provider kinds that have an installed emulation."""
    return sorted({point.name for point in points_in(GROUP)})


def load_emulation(name: str, /, **options: object) -> Emulation:
    """Return the emulation of a provider kind: ``load_emulation("createtask", dialect="capsolver")``.

    ``options`` are arguments of the emulation's class, such as the dialect that it speaks. Raises
    :class:`~captchahub.errors.ConfigError` if no installed plugin has such an emulation or two have, if it is
    blocked or can't be loaded, or if it does not accept these options.
    """
    found = [point for point in points_in(GROUP) if point.name == name]
    if not found:
        raise ConfigError(f"no installed plugin emulates {name!r}; {_alternatives(name)}")
    if len(found) > 1:
        packages = " and ".join(sorted(package_of(entry) for entry in found))
        raise ConfigError(f"{name!r} is emulated by two packages, {packages}: uninstall one")
    return _load(found[0], options)


def _alternatives(name: str) -> str:
    meant = Plugins().meant_by(name)
    if meant is not None:
        kind, keys = meant
        options = "".join(f", {key}={value}" for key, value in keys.items())
        return f"it belongs to {kind}: use {kind}{options}"
    known = advise(name, installed_emulations(), "installed")
    # No package name is suggested, because anybody could have published a package with that name.
    return f"{known}; or install the plugin that adds it"


def _load(entry: EntryPoint, options: Mapping[str, object]) -> Emulation:
    if is_blocked_by_environment(entry.name, package_of(entry)):
        raise ConfigError(f"{_about(entry)} is blocked by ${BLOCKED}; remove it there to use it")
    try:
        factory = entry.load()
        problem = option_error(factory, options) if options else None
        emulation: object = None if problem else factory(**options)
    # A plugin's code can fail in any way; the message must name the plugin.
    except Exception as error:
        if options and isinstance(error, ValueError):
            reason = " ".join(str(error).split())
            raise ConfigError(f"{_about(entry)}: it refuses {', '.join(options)}: {reason}") from error
        raise ConfigError(f"{_about(entry)} can't be loaded: {error!r}; reinstall the package") from error
    if problem:
        raise ConfigError(f"{_about(entry)}: {problem}")
    if not isinstance(emulation, Emulation):
        raise ConfigError(f"{_about(entry)} is a {type(emulation).__name__}, not an Emulation")
    return emulation


def _about(entry: EntryPoint) -> str:
    return f"the emulation {entry.name!r} ({entry.value}) of {package_of(entry)}"


_KEYWORD_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

_TYPE_NAMES: Mapping[object, str] = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "text",
}


def option_error(factory: Callable[..., object], options: Mapping[str, object]) -> str | None:
    """Return why a class or function does not accept these options, or None if it may.

    Values are checked against annotations that are literals or plain classes. ``factory`` itself has to check
    values with other annotations.
    """
    parameters = _signature(factory).parameters.values()
    known = {one.name: one.annotation for one in parameters if one.kind in _KEYWORD_KINDS}
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    for name, value in options.items():
        if name not in known and not takes_any:
            return f"it has no option {name!r}; {advise(name, known, 'options')}"
        problem = _value_error(known.get(name), value)
        if problem is not None:
            return f"{name} {problem}"
    return None


def _signature(factory: Callable[..., object]) -> inspect.Signature:
    try:
        return inspect.signature(factory, eval_str=True)
    # Annotations can use names that are imported for type checkers only.
    except Exception:  # noqa: BLE001 - a plugin's annotations can fail in any way
        return inspect.signature(factory)


def _value_error(annotation: Any, value: object) -> str | None:
    members = [one for one in get_args(annotation) if one is not NoneType]
    if isinstance(annotation, UnionType) and len(members) == 1:
        return None if value is None else _value_error(members[0], value)
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        if any(type(choice) is type(value) and choice == value for choice in choices):
            return None
        return f"can't be {shown(value)}; {advise(str(value), map(str, choices), 'valid')}"
    if not isinstance(annotation, type) or annotation is inspect.Parameter.empty or _fits(annotation, value):
        return None
    return f"must be {_TYPE_NAMES.get(annotation, f'a {annotation.__name__}')}, not {shown(value)}"


def _fits(annotation: type, value: object) -> bool:
    if isinstance(value, bool):
        return annotation in (bool, object)
    try:
        return isinstance(value, (int, float) if annotation is float else annotation)
    # Any and most protocols are classes too, but isinstance does not work with them.
    except TypeError:
        return True
