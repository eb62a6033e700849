"""What is installed, by the metadata of the packages; what is wrong with one of them hides no other."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, DistributionFinder, EntryPoint, entry_points

from captchahub._support.guard import foreign_errors
from captchahub._support.log import log

__all__ = ["package_of", "points_in", "version_of"]

_told: set[str] = set()
"""The broken packages that were logged: they are met again with each hub."""


def points_in(group: str) -> Sequence[EntryPoint]:
    """The entry points of a group; those of a package with broken metadata are left out, which is logged."""
    try:
        places = _places()
        return list(entry_points(group=group)) if places is None else _points_at(group, places)
    except foreign_errors():
        # It gives all or nothing. Looking at one package after the other takes longer.
        return [point for point in _readable_points() if point.group == group]


# To read the metadata of a hundred packages takes 7 ms, and each hub looks at two groups.
@lru_cache(maxsize=8)
def _points_at(group: str, _places: Sequence[object]) -> Sequence[EntryPoint]:
    return tuple(entry_points(group=group))


def _places() -> Sequence[object] | None:
    """What changes when a package is installed or removed; None if other finders than Python's are there."""
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return None
    return tuple((path, _state_of(path)) for path in sys.path)


def _state_of(path: str) -> object:
    try:
        found = os.stat(path)  # noqa: PTH116  # to make a Path takes six times as long
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def package_of(point: EntryPoint) -> str | None:
    """The name of the package that an entry point is of, None where nobody knows."""
    return _text(lambda: None if point.dist is None else _of_metadata(point.dist, "name"))


def version_of(point: EntryPoint) -> str | None:
    """The version of that package, None where nobody knows."""
    return _text(lambda: None if point.dist is None else _of_metadata(point.dist, "version"))


# A package parses its metadata anew for each of them.
@lru_cache(maxsize=256)
def _of_metadata(package: Distribution, name: str) -> object:
    value: object = getattr(package, name)
    return value


def _readable_points() -> Iterator[EntryPoint]:
    seen: set[str] = set()
    for package in _packages():
        name = _text(partial(getattr, package, "name")) or ""
        # Of two on the way where modules are looked for, the first one is imported.
        if name and name.lower() in seen:
            continue
        seen.add(name.lower())
        try:
            points = list(package.entry_points)
        except foreign_errors() as error:
            if name not in _told:
                _told.add(name)
                told = "the metadata of %s can't be read (%s), so that it adds no plugin; reinstall it"
                log.warning(told, name or "a package without a name", type(error).__name__)
            continue
        yield from points


def _packages() -> Iterator[Distribution]:
    for finder in sys.meta_path:
        find = getattr(finder, "find_distributions", None)
        if find is None:
            continue
        try:
            yield from find(DistributionFinder.Context())
        except foreign_errors():
            log.warning("%s can't tell what is installed", type(finder).__name__, exc_info=True)


def _text(read: Callable[[], object]) -> str | None:
    try:
        value = read()
    except foreign_errors():
        return None
    return value if isinstance(value, str) else None
