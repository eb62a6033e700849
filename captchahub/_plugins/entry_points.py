"""The entry points of installed packages, and which plugins the environment forbids to import.

A package with broken metadata hides no other.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, DistributionFinder, EntryPoint, entry_points

from captchahub._support.guard import foreign_errors
from captchahub._support.log import log

BLOCKED = "CAPTCHAHUB_BLOCK_PLUGINS"
"""The environment variable with the names of plugins, or of their packages, that must not be imported."""

# Each hub meets the same broken packages again.
_logged: set[str] = set()


def points_in(group: str) -> Sequence[EntryPoint]:
    """Return the entry points of a group. A package with broken metadata is skipped, which is logged."""
    try:
        state = _search_path_state()
        return list(entry_points(group=group)) if state is None else _cached_points(group, state)
    except foreign_errors():
        # entry_points() returns all or raises. Reading package by package takes longer, and finds the others.
        return [point for point in _readable_points() if point.group == group]


# Reading the metadata of a hundred packages takes 7 ms, and each hub reads two groups.
# The library reads five groups, so the last state of each fits.
@lru_cache(maxsize=8)
def _cached_points(group: str, _state: Sequence[object]) -> Sequence[EntryPoint]:
    return tuple(entry_points(group=group))


def _search_path_state() -> Sequence[object] | None:
    """Return what changes when a package is installed or removed, or None if there are other finders."""
    if not all(map(_finds_by_path, sys.meta_path)):
        return None
    return tuple((path, _folder_state(path)) for path in sys.path)


def _finds_by_path(finder: object) -> bool:
    """Return whether a finder finds no package elsewhere than in the folders of ``sys.path``."""
    # The backport of importlib.metadata, which OpenTelemetry imports, adds a finder that does the same.
    is_backport = (getattr(finder, "__module__", None) or type(finder).__module__) == "importlib_metadata"
    return finder is PathFinder or is_backport or not hasattr(finder, "find_distributions")


def _folder_state(path: str) -> object:
    try:
        found = os.stat(path)  # noqa: PTH116  # making a Path takes six times as long
    except (OSError, ValueError):
        return None
    # A package that is installed or removed adds or removes a folder in this one, which changes its time.
    return found.st_dev, found.st_ino, found.st_mtime_ns


def package_of(point: EntryPoint) -> str:
    """Return what messages call the package that has an entry point."""
    return _metadata(point.dist, "name") or "an unnamed package"


def version_of(point: EntryPoint) -> str | None:
    """Return the version of that package, or None if unknown."""
    return _metadata(point.dist, "version")


def _metadata(package: Distribution | None, name: str) -> str | None:
    try:
        value = _attribute(package, name)
    except foreign_errors():
        return None
    return value if isinstance(value, str) else None


# A package parses its metadata again for each attribute.
@lru_cache(maxsize=256)
def _attribute(package: Distribution | None, name: str) -> object:
    return getattr(package, name, None)


def blocked_by_environment() -> Sequence[str]:
    """Return the names in the variable ``BLOCKED``, which are separated by commas or spaces."""
    return sorted(set(os.environ.get(BLOCKED, "").replace(",", " ").split()))


def is_blocked_by_environment(*names: str) -> bool:
    """Return whether that variable has any of these names, such as that of a plugin and of its package."""
    return not {*map(normalized, names)}.isdisjoint(map(normalized, blocked_by_environment()))


def normalized(name: str) -> str:
    """Return a name as pip compares it: Some_Package is some-package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _readable_points() -> Iterator[EntryPoint]:
    seen: set[str] = set()
    for package in _packages():
        name = _metadata(package, "name") or ""
        # If two folders of sys.path have the same package, Python imports the first one.
        if name and name.lower() in seen:
            continue
        seen.add(name.lower())
        try:
            points = list(package.entry_points)
        except foreign_errors() as error:
            if name not in _logged:
                _logged.add(name)
                log.warning(
                    "the metadata of %s can't be read (%s), so it adds no plugin; reinstall it",
                    name or "a package without a name",
                    type(error).__name__,
                )
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
            log.warning("%s can't list the installed packages", type(finder).__name__, exc_info=True)
