"""Writes a file whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import click

__all__ = ["replacing"]

_ADVICE: Mapping[int, str] = {
    errno.ENOSPC: "free some space, or name a file on another disk",
    errno.EDQUOT: "free some space, or name a file on another disk",
    errno.EACCES: "name a file in a folder that you may write to",
    errno.EPERM: "name a file in a folder that you may write to",
    errno.EROFS: "name a file on a disk that can be written",
    errno.EISDIR: "it is a folder; name a file in it",
}


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield the path of a new file, which replaces ``path`` at the end.

    If the block fails, the new file is removed and ``path`` stays as it was. A device is written directly.
    Raises :class:`click.ClickException`, which says what to do, if the file can't be written.
    """
    target = path.resolve()
    is_special = target.exists() and not target.is_file()
    # With the same ending, because it may choose the format.
    new = target if is_special else target.with_name(f".{os.getpid()}-{target.name}")
    try:
        yield new
        if not is_special:
            new.replace(target)
    except OSError as error:
        raise click.ClickException(_message(path, error)) from error
    finally:
        if not is_special:
            with suppress(OSError):
                new.unlink()


def _message(path: Path, error: OSError) -> str:
    advice = _ADVICE.get(error.errno or 0, "")
    if error.errno == errno.ENOENT:
        advice = f"create the folder {path.parent} first"
    reason = error.strerror or str(error)
    return f"{path}: the file can't be written: {reason}" + (f"; {advice}" if advice else "")
