"""A user's own file that Python imports in place of a package, because it is called like that."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

__all__ = ["how_to_get", "refuse_shadows"]


def refuse_shadows(packages: Iterable[str]) -> None:
    """Raise ImportError where a file would be imported in place of one of these packages.

    Nothing is imported to find that out.
    """
    for package in packages:
        origin, is_package = _found(package)
        if origin is not None and not is_package:
            said = f"captchahub needs the package {package}, and {origin} is imported in its place"
            raise ImportError(f"{said}: rename that file", name=package, path=origin)


def how_to_get(error: ImportError, extra: str) -> str:
    """Which package an import was in want of, and what to do; ``extra`` is the one of ours that has it."""
    package = (error.name or "another package").partition(".")[0]
    install = f"pip install 'captchahub[{extra}]'"
    origin, _ = _found(package)
    if origin is None:
        return f"the package {package}: {install}"
    # Two packages of other makers can have one name too.
    return (
        f"the package {package}, and {origin} is imported in its place: rename that, if it is yours; else "
        f"{install}"
    )


def _found(package: str) -> tuple[str | None, bool]:
    """The file that a name stands for, None where there is none, and whether it is a package."""
    try:
        spec = find_spec(package)
    # ValueError: it is there already, and was made by hand.
    except (ImportError, ValueError):
        return None, False
    if spec is None:
        return None, False
    is_package = spec.submodule_search_locations is not None
    return spec.origin, is_package
