"""Paths as users write them."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return the path with a ``~`` or ``~user`` at its beginning replaced by that user's home directory.

    A path with an unknown user stays as it is, and is then reported as one that does not exist.
    """
    # Path.expanduser() takes "./~" for "~", and raises for an unknown user.
    return Path(os.path.expanduser(path))  # noqa: PTH111 - as said


def working_directory() -> Path | None:
    """Return the working directory, or None if it was deleted."""
    try:
        return Path.cwd()
    except OSError:
        return None


def anchored(path: Path) -> Path:
    """Return the path as an absolute one, or as it is if the working directory was deleted."""
    here = working_directory()
    return path if here is None else here / path
