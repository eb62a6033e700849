"""The journal's file: opened with care, written in groups, and every fault of it told in plain words.

Synchronous, for one thread at a time; other processes may have the same file open.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from captchahub._journal.schema import migrate, roll_back
from captchahub._support.clock import steady
from captchahub._support.forking import no_fork, watch
from captchahub.errors import JournalError

__all__ = ["Database"]

T = TypeVar("T")

# Up to this size, in bytes, the whole file is looked through when it is opened: about 2 ms a megabyte. In a
# larger one damage is found where it is met, and a reservation that meets it orders nothing.
_CHECKED_UP_TO = 64_000_000

# How often another process is given time to finish with a new file, in seconds.
_PAUSE = 0.01

_CAN_NOT_WRITE = "it can't be opened for writing", "Allow this program to write to the file and its folder"

_TELLING = {
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

# A damaged file can have SQLite complain in words that are no text.
_FAULTS = (sqlite3.Error, UnicodeDecodeError)


class Database:
    """An open journal, in memory where ``path`` is None.

    Raises JournalError where it can't be opened, is damaged, or is written by something else.
    ``busy_timeout`` is how long another process may keep it locked, in seconds. A fork closes the file, for
    SQLite would take the locks of a process for those of its child; each opens it again when it writes. It
    waits for what is being written, also in memory, for a child would find SQLite's own locks held for ever.
    """

    def __init__(self, path: Path | None, *, busy_timeout: float = 5.0) -> None:
        self._path = path
        self._name = "journal in memory" if path is None else f"journal {path}"
        self._busy_timeout = busy_timeout
        self._lock = threading.Lock()
        self._is_closed = False
        self._identity: tuple[int, int] | None = None
        with no_fork:
            self._connection: sqlite3.Connection | None = self._open("nothing was ordered")
            if path is not None:
                # That it can be opened is known now. A program that forks without telling Python, as uWSGI
                # does, would hand an open file on to its children.
                self._let_go()
            watch(self)

    def transact(self, works: Sequence[Callable[[sqlite3.Connection], T]]) -> list[T | Exception]:
        """What each work returned or raised, all of them in one transaction and one commit.

        A work that raises leaves nothing behind and does not concern the others. Where the journal itself
        fails, none is written and each gets a JournalError of its own.
        """
        with self._lock:
            try:
                connection = self._ready()
            except JournalError as error:
                return [JournalError(str(error)) for _ in works]
            return self._transact(connection, works)

    def _ready(self) -> sqlite3.Connection:
        """The open file, which has to be the one of before. Raises JournalError."""
        if self._is_closed:
            raise JournalError(f"{self._name}: it is closed; it was not written. Make a new hub")
        if self._identity is not None and self._identity != self._found():
            problem = "the file was moved, deleted or replaced while it was in use"
            advice = "Put it back, or make a new hub, which begins with what is there now"
            raise JournalError(f"{self._name}: {problem}; it was not written. {advice}")
        if self._connection is None:
            self._connection = self._open("it was not written")
        return self._connection

    def _found(self) -> tuple[int, int] | None:
        """What tells the file from any other, None where there is none."""
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _transact(
        self, connection: sqlite3.Connection, works: Sequence[Callable[[sqlite3.Connection], T]]
    ) -> list[T | Exception]:
        try:
            connection.execute("BEGIN IMMEDIATE")
            done = [self._done(connection, work) for work in works]
            connection.execute("COMMIT")
        except _FAULTS as error:
            roll_back(connection)
            return [self._told(error, "it was not written") for _ in works]
        except BaseException:
            roll_back(connection)
            raise
        return done

    def close(self) -> None:
        """Close the file for good; to do so again is fine."""
        with self._lock:
            self._is_closed = True
            self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def before_fork(self) -> None:
        """See :class:`captchahub._support.forking.Forked`."""
        self._lock.acquire()
        # What is in memory would be gone with it.
        if self._path is not None:
            self._let_go()

    def after_fork(self, *, is_child: bool) -> None:  # noqa: ARG002 - both go on in the same way
        """See :class:`captchahub._support.forking.Forked`."""
        self._lock.release()

    def _done(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T | Exception:
        connection.execute("SAVEPOINT work")
        try:
            done = work(connection)
        except _FAULTS as error:
            # Some faults end the whole transaction, so that there is nothing to return to.
            if not connection.in_transaction:
                raise
            failed: Exception = self._told(error, "it was not written")
        except Exception as error:  # noqa: BLE001  # it belongs to whoever asked for this work
            failed = error
        else:
            connection.execute("RELEASE work")
            return done
        connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
        return failed

    def _open(self, so_far: str) -> sqlite3.Connection:
        """The file, opened. Raises JournalError, which says what was not done ``so_far``."""
        try:
            self._look()
            # An absolute path, for ':memory:' would have a meaning of its own.
            place = ":memory:" if self._path is None else self._path
            connection = sqlite3.connect(
                place, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
            )
        except (sqlite3.Error, OSError, ValueError) as error:
            raise self._told(error, so_far) from error
        try:
            self._prepare(connection)
        except (*_FAULTS, OSError) as error:
            connection.close()
            raise self._told(error, so_far) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _look(self) -> None:
        """Raise where SQLite would say no more than that it can't open the file."""
        if self._path is None:
            return
        # Whatever the folder is that the program works in later.
        path = self._path = self._path.absolute()
        if not path.parent.is_dir():
            raise self._unusable(f"its folder {path.parent} does not exist", "Make the folder")
        if path.exists() and not path.is_file():
            raise self._unusable("it is not a file", "Name a file for the journal, not a folder")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            problem = f"its folder {path.parent} can't be written to"
            raise self._unusable(
                problem, "Allow this program to write there, for a journal has several files"
            )
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise self._unusable(*_CAN_NOT_WRITE)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # A commit is on the disk before it returns, also where (macOS) that takes more than the usual call.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        is_new_here = self._identity is None
        if self._path is not None and is_new_here and self._path.stat().st_size <= _CHECKED_UP_TO:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise self._unusable(*_TELLING[sqlite3.SQLITE_CORRUPT])
        migrate(connection, self._name)
        if self._path is not None:
            self._write_ahead(connection)
            self._identity = self._found()

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Have a new file written ahead. SQLite does not wait by itself for others who open it just now."""
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
            raise self._unusable("its file system can't keep a journal", "Put it on a disk of this machine")

    def _unusable(self, problem: str, advice: str) -> JournalError:
        return JournalError(f"{self._name}: {problem}; nothing was ordered. {advice}")

    def _told(self, error: Exception, so_far: str) -> JournalError:
        code = _code(error)
        if code in _LOCKED:
            problem = f"another process has kept it locked for {self._busy_timeout:g} s"
            advice = "See which program has it open, such as a backup or an SQLite shell"
        elif code in _TELLING:
            problem, advice = _TELLING[code]
            problem = f"{problem} ({error})"
        elif isinstance(error, OSError | ValueError):
            problem, advice = (
                f"it can't be opened ({error})",
                "Check the name, and who may read and write there",
            )
        else:
            problem, advice = f"{type(error).__name__}: {error}", "Report it, if you can't explain it"
        told = JournalError(f"{self._name}: {problem}; {so_far}. {advice}")
        told.__cause__ = error
        return told


def _code(error: Exception) -> int | None:
    """The kind of an error of SQLite, without its finer distinctions."""
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
