"""What the journal needs from the database that keeps it.

SQLite (:mod:`captchahub._journal.sqlite`) and PostgreSQL (:mod:`captchahub._journal.postgres`) are such
databases. Another one needs these protocols, tables with the same names and columns, and a branch in
:func:`captchahub._journal.journal.open_journal`.

The statements of the tables are the same for all: values are named (``:name``), flags are whole numbers, and
no statement needs RETURNING, which SQLite has had since 3.35 only. They use the functions ``coalesce``,
``sum`` and ``instr``, ``ON CONFLICT``, and ``lastrowid`` for the id of a new row. No value is only compared
with NULL, because PostgreSQL would not know its type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from captchahub.errors import JournalError

T = TypeVar("T")


class Cursor(Protocol):
    """The outcome of one statement."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement inserted, changed or deleted."""
        ...

    @property
    def lastrowid(self) -> int | None:
        """The id of the row that the statement inserted."""
        ...

    def fetchone(self) -> Any:  # one row, of any columns
        """Return the next row, or None if there is none."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Return the rows that are left."""
        ...


class Connection(Protocol):
    """An open transaction. ``sqlite3.Connection`` is one without a wrapper."""

    def execute(self, sql: str, parameters: Mapping[str, Any] = ..., /) -> Cursor:
        """Run one statement with its named values."""
        ...


Work = Callable[[Connection], T]
"""Something to read or write in one transaction.

It may run in another thread than the engine, and it may run again after it was undone, so that nothing may
depend on how often it ran.
"""


class OutcomeUnknown(JournalError):
    """A commit whose reply was lost: what was done may be in the database or not.

    ``done`` is what the work returned, so that it can be undone later.
    """

    def __init__(self, message: str, done: Any) -> None:
        super().__init__(message)
        self.done = done


class Database(Protocol):
    """Where the tables of a journal are. Used by one thread at a time.

    It survives a fork: the parent goes on with it, and a child neither disturbs the parent nor inherits its
    locks (see :mod:`captchahub._support.forking`).
    """

    def transact(self, works: Sequence[Work[T]]) -> list[T | Exception]:
        """Run works in one transaction, and return what each returned or raised once it is committed.

        A work that raises is undone and does not affect the others. If the database fails, nothing is
        written, and each work gets a JournalError of its own that says so; or an :class:`OutcomeUnknown`, if
        the reply to the commit was lost.

        The transactions of all processes must run one after another, because a budget is read and spent in
        the same one.
        """
        ...

    def read(self, work: Work[T]) -> T:
        """Return what a work that only reads finds in one snapshot; it need not wait for writers.

        Raises JournalError, which says that nothing was read, if the database fails.
        """
        ...

    def close(self) -> None:
        """Close the database for good. A second call does nothing."""
        ...


class Listener(Protocol):
    """Learns soon that a shared job of another hub may have ended, and calls the watchers of its task.

    It may miss one: a solve that waits for a job also looks into the journal now and then.
    """

    def listen(self) -> None:
        """Listen as long as a solve waits. Called in the event loop, at each look of such a solve.

        Raises nothing if that is impossible.
        """
        ...

    def close(self) -> None:
        """Stop listening for good. A second call does nothing."""
        ...
