"""The journal in an SQLite file or in memory.

Synchronous, for one thread at a time; other processes may have the same file open. Every fault is reported as
a JournalError that names the file, the cause and what to do.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from captchahub._journal.database import T
from captchahub._journal.grouped_work import run_grouped
from captchahub._journal.sqlite_schema import migrate
from captchahub._support.clock import steady
from captchahub._support.forking import no_fork, watch
from captchahub.errors import JournalError

# How long another process may keep the file locked, in seconds: as long as the sqlite3 module waits by
# default. A commit takes milliseconds; only a backup or a person with an SQLite shell needs longer.
_BUSY_TIMEOUT = 5.0

# Up to this size, in bytes, the whole file is checked when it is opened, which takes about 2 ms a megabyte.
# In a larger file damage is found when the damaged page is read, and a reservation that reads it creates no
# job.
_CHECKED_UP_TO = 64_000_000

# The pause between two attempts to switch a new file to write-ahead logging, in seconds: about as long as
# another process needs to do the same.
_PAUSE = 0.01

# What a failure left undone, for the error.
_NOT_OPENED = "no job was created"
_NOT_WRITTEN = "it was not written"
_NOT_READ = "it was not read"

_CAN_NOT_WRITE = "it can't be opened for writing", "Allow this program to write to the file and its folder"

_CAUSES = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Make room on it"),
    sqlite3.SQLITE_CORRUPT: (
        "it is damaged",
        "Move it away, with its -wal and -shm files, to begin a new one; look for open jobs at the services",
    ),
    sqlite3.SQLITE_NOTADB: ("it is not a journal", "Name another file for the journal"),
    sqlite3.SQLITE_READONLY: _CAN_NOT_WRITE,
    sqlite3.SQLITE_CANTOPEN: _CAN_NOT_WRITE,
    sqlite3.SQLITE_PERM: _CAN_NOT_WRITE,
    sqlite3.SQLITE_IOERR: (
        "reading or writing it failed",
        "Check the disk, and the limits of this user for files and space",
    ),
}

_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

# SQLite's error message for a damaged file can contain bytes of that file that are not UTF-8.
_FAULTS = (sqlite3.Error, UnicodeDecodeError)


class SqliteDatabase:
    """A journal in the file ``path``, or in memory if that is None.

    Raises JournalError if the file cannot be opened, is damaged, or belongs to another program.
    ``busy_timeout`` is how long another process may keep it locked, in seconds.

    A fork closes the file, because SQLite would take the locks of a process for those of its child; both open
    it again when they use it next. A fork also waits for the transaction under way, in memory too: the child
    would find SQLite's own locks held forever.
    """

    def __init__(self, path: Path | None, *, busy_timeout: float = _BUSY_TIMEOUT) -> None:
        self._path = path
        self._name = "journal in memory" if path is None else f"journal {path}"
        self._busy_timeout = busy_timeout
        self._lock = threading.Lock()
        self._is_closed = False
        self._file: tuple[int, int] | None = None
        with no_fork:
            self._connection: sqlite3.Connection | None = self._open(_NOT_OPENED)
            if path is not None:
                # It is known now that the file can be opened. A program that forks without Python's hooks, as
                # uWSGI does, would hand an open file on to its children.
                self._disconnect()
            watch(self)

    def transact(self, works: Sequence[Callable[[sqlite3.Connection], T]]) -> list[T | Exception]:
        """See :meth:`captchahub._journal.database.Database.transact`."""
        with self._lock:
            try:
                connection = self._ready(_NOT_WRITTEN)
            except JournalError as error:
                return [JournalError(str(error)) for _ in works]
            try:
                # Commits at the end, and rolls back after any exception.
                with connection:
                    # IMMEDIATE takes the lock of the one writer now. A transaction that reads first and locks
                    # later fails at once if another process has written in between.
                    connection.execute("BEGIN IMMEDIATE")
                    if len(works) == 1:
                        # A single work needs no savepoint: what undoes it undoes the whole transaction.
                        return [works[0](connection)]
                    return run_grouped(works, partial(self._run, connection))
            except _FAULTS as error:
                return [self._error(error, _NOT_WRITTEN) for _ in works]
            except Exception as error:  # noqa: BLE001 - the caller of the work gets it
                return [error for _ in works]

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """See :meth:`captchahub._journal.database.Database.read`."""
        with self._lock:
            connection = self._ready(_NOT_READ)
            try:
                # Not IMMEDIATE: with write-ahead logging a reader needs no lock that a writer could hold.
                connection.execute("BEGIN")
                try:
                    return work(connection)
                finally:
                    # Not a commit, so that nothing is written even if the work does more than read.
                    connection.rollback()
            except _FAULTS as error:
                raise self._error(error, _NOT_READ) from error

    def close(self) -> None:
        """See :meth:`captchahub._journal.database.Database.close`."""
        with self._lock:
            self._is_closed = True
            self._disconnect()

    def before_fork(self) -> None:
        """See :class:`captchahub._support.forking.Forked`."""
        self._lock.acquire()
        # A journal in memory stays open: closing it would delete it.
        if self._path is not None:
            self._disconnect()

    def after_fork(self, *, is_child: bool) -> None:  # noqa: ARG002 - both go on in the same way
        """See :class:`captchahub._support.forking.Forked`."""
        self._lock.release()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ready(self, undone: str) -> sqlite3.Connection:
        """Return the open connection. Raises JournalError if it is closed or the file is not the same one."""
        if self._is_closed:
            raise JournalError(f"{self._name}: it is closed; {undone}. Make a new hub")
        # What is written to a deleted file is lost, and a file that took its place knows nothing of these
        # jobs.
        if self._file is not None and self._file != self._found():
            problem = "the file was moved, deleted or replaced while it was in use"
            advice = "Put it back, or make a new hub, which begins with what is there now"
            raise JournalError(f"{self._name}: {problem}; {undone}. {advice}")
        if self._connection is None:
            self._connection = self._open(undone)
        return self._connection

    def _found(self) -> tuple[int, int] | None:
        """Return the device and inode of the file, or None if there is no file."""
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _run(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T | Exception:
        """Run one of several works in a savepoint of its own."""
        connection.execute("SAVEPOINT work")
        try:
            done = work(connection)
        except _FAULTS as error:
            # After some faults, such as a full disk, SQLite has rolled the whole transaction back itself.
            if not connection.in_transaction:
                raise
            failed: Exception = self._error(error, _NOT_WRITTEN)
        except Exception as error:  # noqa: BLE001 - the caller of the work gets it
            failed = error
        else:
            connection.execute("RELEASE work")
            return done
        connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
        return failed

    def _open(self, undone: str) -> sqlite3.Connection:
        """Open the file. Raises JournalError, which says what was left ``undone``."""
        try:
            self._check_path()
            with ExitStack() as on_failure:
                # SQLite never takes an absolute path for ':memory:' or a URI.
                connection = sqlite3.connect(
                    self._path or ":memory:",
                    timeout=self._busy_timeout,
                    isolation_level=None,
                    check_same_thread=False,
                )
                on_failure.callback(connection.close)
                self._prepare(connection)
                on_failure.pop_all()
        except (*_FAULTS, OSError, ValueError) as error:
            raise self._error(error, undone) from error
        return connection

    def _check_path(self) -> None:
        """Raise JournalError for faults that SQLite reports as "unable to open database file" only."""
        if self._path is None:
            return
        # Absolute, so that it stays the same file if the program changes its working directory.
        path = self._path = self._path.absolute()
        if not path.parent.is_dir():
            raise self._unusable(f"its folder {path.parent} does not exist", "Make the folder")
        if path.exists() and not path.is_file():
            raise self._unusable("it is not a file", "Name a file for the journal, not a folder")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            problem = f"its folder {path.parent} can't be written to"
            advice = "Allow this program to write there, because a journal consists of several files"
            raise self._unusable(problem, advice)
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise self._unusable(*_CAN_NOT_WRITE)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # A job is paid for once it is sent, so its row must be on the disk before. FULL waits for the disk at
        # each commit, which NORMAL does not in WAL mode; macOS needs fullfsync for the same.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        # Once, when the hub is made: opening it again after a fork must not read it all again.
        if self._path is not None and self._file is None and self._path.stat().st_size <= _CHECKED_UP_TO:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise self._unusable(*_CAUSES[sqlite3.SQLITE_CORRUPT])
        migrate(connection, self._name, in_memory=self._path is None)
        if self._path is not None:
            self._write_ahead(connection)
            self._file = self._found()

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Switch a new file to write-ahead logging.

        SQLite's own busy timeout does not apply to this statement, so that two processes which open a new
        file at the same time would fail.
        """
        until = steady() + self._busy_timeout
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if _code(error) not in _LOCKED or steady() >= until:
                    raise
                time.sleep(_PAUSE)
            else:
                break
        if mode != "wal":
            # Write-ahead logging needs shared memory, which network file systems do not have.
            raise self._unusable("its file system can't keep a journal", "Put it on a disk of this machine")

    def _unusable(self, problem: str, advice: str) -> JournalError:
        return JournalError(f"{self._name}: {problem}; {_NOT_OPENED}. {advice}")

    def _error(self, cause: Exception, undone: str) -> JournalError:
        code = _code(cause)
        if code in _LOCKED:
            problem = f"another process has kept it locked for {self._busy_timeout:g} s"
            advice = "See which program has it open, such as a backup or an SQLite shell"
        elif code in _CAUSES:
            problem, advice = _CAUSES[code]
            problem = f"{problem} ({cause})"
        elif isinstance(cause, OSError | ValueError):
            problem = f"it can't be opened ({cause})"
            advice = "Check the name, and who may read and write there"
        else:
            problem, advice = f"{type(cause).__name__}: {cause}", "Report it, if you can't explain it"
        error = JournalError(f"{self._name}: {problem}; {undone}. {advice}")
        error.__cause__ = cause
        return error


def _code(error: Exception) -> int | None:
    """Return SQLite's primary result code of an error, without the extended part."""
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
