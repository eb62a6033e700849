"""Whether the owners of a journal's jobs are still there: each holds a lock on a file beside the journal.

The system lets go of a lock when its process ends, however that ends, and knows it in every container that
shares the file. Where there are no such locks nobody can tell, and the lease in the journal decides.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from captchahub._forking import no_fork, watch

if sys.platform != "win32":
    import fcntl

__all__ = ["Presence"]


class Presence:
    """The files of the owners beside one journal; there are none where it is None, as for one in memory."""

    def __init__(self, journal: Path | None) -> None:
        # Whatever the folder is that the program works in later.
        self._journal = None if journal is None else journal.absolute()
        self._held: dict[str, int] = {}
        self._gone: set[str] = set()
        with no_fork:
            watch(self)

    def hold(self, owner: str) -> None:
        """Be there in the name of an owner, until :meth:`leave` or the end of the process."""
        if owner in self._held or self._journal is None or sys.platform == "win32":
            return
        path = _file(self._journal, owner)
        # A child that had the file as well would be taken for its parent.
        with no_fork:
            try:
                opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:
                return
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(opened)
                _remove(path)
                return
            self._held[owner] = opened

    def leave(self, owner: str) -> None:
        """Be there no more."""
        # A child must find the file either held or closed.
        with no_fork:
            opened = self._held.pop(owner, None)
            if opened is not None and self._journal is not None:
                _remove(_file(self._journal, owner))
                os.close(opened)

    def is_gone(self, owner: str) -> bool:
        """Whether an owner is surely not there any more; its file is removed then."""
        if owner in self._gone:
            return True
        if self._journal is None or sys.platform == "win32" or owner in self._held:
            return False
        path = _file(self._journal, owner)
        try:
            opened = os.open(path, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            _remove(path)
            self._gone.add(owner)
            return True
        finally:
            os.close(opened)

    def before_fork(self) -> None:
        """See :class:`captchahub._forking.Forked`."""

    def after_fork(self, *, is_child: bool) -> None:
        """See :class:`captchahub._forking.Forked`."""
        if is_child:
            # Its copies alone: the parent keeps its locks.
            while self._held:
                os.close(self._held.popitem()[1])


def _file(journal: Path, owner: str) -> Path:
    return journal.with_name(f"{journal.name}-{owner}")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
