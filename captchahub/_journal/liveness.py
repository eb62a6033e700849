"""Which hubs are alive, as the journal they share knows it.

A hub that works on jobs has a row in the table ``owners``, which says until when it is alive; its heartbeat
moves that time on. A hub whose time is over is dead, and others take its jobs. On one machine a lock on a
file shows sooner that a process has ended.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from captchahub._journal import health_table, slots_table
from captchahub._journal.database import Connection
from captchahub._support.forking import no_fork, watch

LEASE = 60.0
"""A hub without a heartbeat for this long is taken for dead, in seconds. It is three heartbeats, so that two
of them may fail or be late, as with a suspended process or a slow disk. The jobs of a
machine that was switched off wait this long for another hub."""


def heartbeat(connection: Connection, owner: str, until: float) -> None:
    """Write down that a hub is alive until a time."""
    connection.execute(
        """
        INSERT INTO owners (id, alive_until) VALUES (:id, :until)
        ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until
        """,
        {"id": owner, "until": until},
    )


def sign_off(connection: Connection, owner: str) -> None:
    """Write down that a hub is dead, so that others can claim its jobs."""
    connection.execute("DELETE FROM owners WHERE id = :id", {"id": owner})
    _remove_of_dead(connection)


def expire_dead_owners(connection: Connection, lock: ProcessLock, now: float) -> None:
    """Mark the jobs that dead hubs were about to send as ambiguous. Their price stays charged.

    What these hubs recorded of their providers is deleted, and the slots that they held are free.

    ``lock`` finds the hubs that have ended before their time in the journal was over.
    """
    # Their rows are removed first, so that one statement marks the jobs of all.
    for (owner,) in list(connection.execute("SELECT id FROM owners")):
        if lock.is_free(owner):
            sign_off(connection, owner)
    connection.execute("DELETE FROM owners WHERE alive_until <= :now", {"now": now})
    _remove_of_dead(connection)
    # "state IN (...)" repeats the condition of the partial index jobs_open, which SQLite uses only if it
    # finds that condition in the query.
    connection.execute(
        """
        UPDATE jobs SET state = 'ambiguous', error = :error, updated_at = :now
        WHERE state IN ('intent', 'created') AND state = 'intent' AND owner NOT IN (SELECT id FROM owners)
        """,
        {"error": "the process that sent it, or was about to send it, ended before the reply", "now": now},
    )


def _remove_of_dead(connection: Connection) -> None:
    health_table.remove_of_dead(connection)
    slots_table.remove_of_dead(connection)


if sys.platform != "win32":
    import fcntl


class ProcessLock:
    """Locked files beside a journal, one for each hub that uses it, which end with their process.

    The system releases the lock however the process ends, so that its jobs can be claimed at once and not
    only after :data:`LEASE`. Without a file (``journal`` is None), on Windows, or for a hub on another
    machine nothing is known, and the lease decides.
    """

    def __init__(self, journal: Path | None) -> None:
        # Absolute, so that it stays the same file if the program changes its working directory.
        self._journal = None if journal is None else journal.absolute()
        self._held: dict[str, int] = {}
        self._dead: set[str] = set()
        with no_fork:
            watch(self)

    def acquire(self, owner: str) -> None:
        """Hold the lock of a hub of this process, until :meth:`release` or the end of the process."""
        if owner in self._held or self._journal is None or sys.platform == "win32":
            return
        path = _file(self._journal, owner)
        # A child that inherits the open file would hold the lock after its parent's end.
        with no_fork:
            try:
                opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:
                return
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # A file system without locks. A file that is not locked would look like that of a dead hub.
                os.close(opened)
                _remove(path)
                return
            self._held[owner] = opened

    def release(self, owner: str) -> None:
        """Release the lock of a hub, and remove its file."""
        # A child must find the file either held or closed.
        with no_fork:
            opened = self._held.pop(owner, None)
            if opened is not None and self._journal is not None:
                _remove(_file(self._journal, owner))
                os.close(opened)

    def is_free(self, owner: str | None) -> bool:
        """Return whether a hub has a lock file that no process holds: it is dead, and its file is removed."""
        if owner in self._dead:
            return True
        if owner is None or self._journal is None or sys.platform == "win32" or owner in self._held:
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
            # Remembered, because the next look finds no file, as for a hub on another machine.
            self._dead.add(owner)
            return True
        finally:
            os.close(opened)

    def before_fork(self) -> None:
        """See :class:`captchahub._support.forking.Forked`."""

    def after_fork(self, *, is_child: bool) -> None:
        """See :class:`captchahub._support.forking.Forked`."""
        if is_child:
            # This closes the child's copies only: the parent's keep the locks.
            while self._held:
                os.close(self._held.popitem()[1])


def _file(journal: Path, owner: str) -> Path:
    return journal.with_name(f"{journal.name}-{owner}")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
