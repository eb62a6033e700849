"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["anchored", "expanded", "working_directory"]


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path, where a ``~`` or ``~user`` at its beginning is that user's home directory.

    A path whose user is not known stays as it is, so that it is told as one that is not there.
    """
    # The method of a Path would take "./~" for "~", and raise for a user that is not known.
    return Path(os.path.expanduser(path))  # noqa: PTH111 - as said


def working_directory() -> Path | None:
    """The directory where relative paths begin, None where it is not there any more."""
    try:
        return Path.cwd()
    except OSError:
        return None


def anchored(path: Path) -> Path:
    """The path as an absolute one; a relative one stays as it is where the working directory is gone."""
    here = working_directory()
    return path if here is None else here / path
