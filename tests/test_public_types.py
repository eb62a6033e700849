"""What the public methods take and return can be imported, and is in the reference."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import attrs
import pytest

import captchahub

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
MODULES = sorted(
    {
        name
        for page in REFERENCE.glob("**/*.md")
        for name in re.findall(r"automodule:: (captchahub[\w.]*)", page.read_text())
    }
)


def public_names(module: ModuleType) -> dict[str, object]:
    """The names that a page shows for a module: those of __all__, or else what is defined in it."""
    names: list[str] | None = getattr(module, "__all__", None)
    if names is not None:
        return {name: getattr(module, name) for name in names}
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }


# Only the library itself makes and reads these: the constructors of Fault, and the hub that is given Plugins.
OPAQUE = {"captchahub.testing._wire.effects.Effect", "captchahub._plugins.hooks.Hooks"}


# Not while the tests are collected: pytest has to be the first that imports the plugin for it.
@cache
def documented_names() -> dict[str, object]:
    """The names of the modules that the reference shows, and those that modules import for type checkers."""
    found: dict[str, object] = {"os": os}
    for one in MODULES:
        found |= public_names(importlib.import_module(one))
    return found


@cache
def documented() -> set[int]:
    """The ids of the values that the reference shows."""
    alone = [
        getattr(importlib.import_module(module), name)
        for page in REFERENCE.glob("**/*.md")
        for module, name in re.findall(r"autoclass:: (captchahub[\w.]*)\.(\w+)", page.read_text())
    ]
    return {id(value) for value in (*documented_names().values(), *alone)}


def callables(module: ModuleType) -> Iterator[tuple[str, object]]:
    """The public functions of a module, and the public methods, properties and fields of its classes."""
    for name, value in public_names(module).items():
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            if attrs.has(value):
                yield name, value
            for own, member in vars(value).items():
                if not own.startswith("_") or own == "__init__":
                    function = getattr(member, "fget", getattr(member, "__func__", member))
                    if inspect.isfunction(function):
                        yield f"{name}.{own}", function


def types_in(annotation: object) -> Iterator[type]:
    """The classes of the library in an annotation."""
    arguments = typing.get_args(annotation)
    for one in (typing.get_origin(annotation), annotation):
        if inspect.isclass(one) and one.__module__.partition(".")[0] == "captchahub":
            yield one
    for one in arguments:
        yield from types_in(one)


def types_of(function: object) -> dict[str, set[type]]:
    """The classes of the library in each annotation of a function or in each field of a class."""
    written = map(str, inspect.get_annotations(function).values())  # type: ignore[arg-type]  # a function or a class
    if any("attrs.Attribute[" in text for text in written):
        return {}  # a validator; at runtime this class has no parameters
    hints = typing.get_type_hints(function, localns=documented_names())
    return {name: set(types_in(hint)) for name, hint in hints.items() if not name.startswith("_")}


@pytest.mark.parametrize("name", MODULES)
def test_every_type_in_the_signatures_of_a_public_module_is_in_the_reference(name: str) -> None:
    missing = [
        (where, argument, f"{one.__module__}.{one.__qualname__}")
        for where, function in callables(importlib.import_module(name))
        for argument, found in types_of(function).items()
        for one in found
        if id(one) not in documented() and f"{one.__module__}.{one.__qualname__}" not in OPAQUE
    ]
    assert missing == []


@pytest.mark.parametrize("hub", [captchahub.Hub, captchahub.AsyncHub])
def test_what_a_hub_takes_and_returns_can_be_imported_from_the_package(hub: type) -> None:
    exported = {getattr(captchahub, name) for name in captchahub.__all__ if name != "__version__"}
    missing = {
        one.__name__
        for name, method in inspect.getmembers(hub, inspect.isroutine)
        if not name.startswith("_")
        for found in types_of(inspect.unwrap(getattr(method, "__func__", method))).values()
        for one in found
    } - {one.__name__ for one in exported}
    assert missing == set()
