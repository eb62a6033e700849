"""The working directory, which a program can lose: it may be deleted, or closed to it, while it runs."""

from __future__ import annotations

from pathlib import Path

__all__ = ["anchored", "working_directory"]


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
