"""Finds files of the user that Python imports instead of a package, because they have its name."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec


def refuse_shadows(packages: Iterable[str]) -> None:
    """Raise ImportError if a file would be imported instead of one of these packages. Nothing is imported."""
    for package in packages:
        origin, is_package = _found(package)
        if origin is not None and not is_package:
            said = f"captchahub needs the package {package}, and {origin} is imported instead"
            raise ImportError(f"{said}: rename that file", name=package, path=origin)


def how_to_get(error: ImportError, extra: str) -> str:
    """Return which package an import lacks, and what to do; ``extra`` of captchahub installs it."""
    package = (error.name or "another package").partition(".")[0]
    install = f"pip install 'captchahub[{extra}]'"
    origin, _ = _found(package)
    if origin is None:
        return f"the package {package}: {install}"
    # Or it is another project's package of the same name.
    return (
        f"the package {package}, and {origin} is imported instead: rename that, if it is yours; else "
        f"{install}"
    )


def _found(package: str) -> tuple[str | None, bool]:
    """Return the file of a module, or None if there is none, and whether it is a package."""
    try:
        spec = find_spec(package)
    # ValueError: the module exists already and has no spec, because it was made by hand.
    except (ImportError, ValueError):
        return None, False
    if spec is None:
        return None, False
    return spec.origin, spec.submodule_search_locations is not None
