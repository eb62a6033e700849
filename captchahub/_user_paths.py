"""Paths as people write them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["expanded"]


def expanded(path: str | Path) -> Path:
    """The path, where a ``~`` or ``~user`` at its beginning is that user's home directory.

    A path whose user is not known stays as it is, so that it is told as one that is not there.
    """
    given = Path(path)
    try:
        return given.expanduser()
    except RuntimeError:
        return given
