"""The journal in a PostgreSQL database, which hubs on many machines can share.

Synchronous, for one thread at a time. Every fault is reported as a JournalError that names the database, the
cause and what to do, and never the password.

**Why budgets are exact.** Each transaction begins with an advisory lock of the journal and keeps it until its
commit is visible, so that all transactions that write run one after another, on whichever machine. In READ
COMMITTED each statement sees what was committed before it began; those after the lock see all that earlier
transactions have charged. In SERIALIZABLE, transactions would fail because of each other and run again.

**Why there is no pool of connections.** One thread writes, and one transaction at a time can hold the lock.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any, NoReturn

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import Int8Dumper

from captchahub._journal.database import OutcomeUnknown, T, Work
from captchahub._journal.grouped_work import run_grouped
from captchahub._journal.postgres_listener import PostgresListener
from captchahub._journal.postgres_schema import is_newest, migrate, quoted
from captchahub._journal.watchers import Watchers
from captchahub._support.clock import steady
from captchahub._support.credentials import Secret
from captchahub._support.database_address import shown
from captchahub._support.forking import no_fork, watch
from captchahub.errors import JournalError

# How long other hubs may keep the journal locked, in seconds. A transaction takes milliseconds.
_LOCK_TIMEOUT = 5.0

# Unless the address says otherwise: a server that has vanished without a word must become an error. The
# kernel gives up on a connection after 10 s without a sign of life.
_DEFAULTS: Mapping[str, str | int] = {
    "application_name": "captchahub",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_OLDEST = 12

# How long the server is asked whether a transaction whose reply was lost is committed, and how often, in
# seconds. It ends when the server notices that its client is gone.
_ASKED_FOR = 5.0
_PAUSE = 0.02

# What a failure left undone, for the error.
_NOT_OPENED = "no job was created"
_NOT_WRITTEN = "it was not written"
_NOT_READ = "it was not read"

# The server says that it ends the connection, or refuses it for now.
_ENDED = ("57P", "08", "25P03")

_CAUSES: Mapping[str, tuple[str, str]] = {
    "25006": (
        "it can only be read",
        (
            "Name the primary server and not a replica, or several servers and "
            "target_session_attrs=read-write; see default_transaction_read_only"
        ),
    ),
    "42501": (
        "this user lacks a permission",
        "Grant the user CREATE on the database, or on the journal's schema if that exists",
    ),
    "42P01": ("a table is missing", "Restore the schema of the journal, or name another one"),
    "53100": ("the disk of the server is full", "Make room on it"),
    "57014": ("the server cancelled it", "See statement_timeout of this user"),
}

# The client library has no codes for what fails before a connection exists. The texts are those of English.
_REFUSED: Sequence[tuple[str, str, str]] = (
    (
        r"(password|SASL) authentication failed|no password supplied|role .* does not exist",
        "the server refuses the user or the password",
        "Check both, and percent-encode special characters in them",
    ),
    (
        r"no pg_hba.conf entry|server does not support SSL|SSL",
        "the server refuses this kind of connection",
        "See pg_hba.conf on the server, and sslmode in the address",
    ),
    (
        r'database ".*" does not exist|no such database',
        "there is no such database",
        "Create it, or correct its name",
    ),
    (
        r"too many (connections|clients)|remaining connection slots|no more connections allowed",
        "the server has too many connections",
        "Raise max_connections, or use a pooler",
    ),
    (
        r"the database system is|not accepting connections",
        "the server is starting, stopping or recovering",
        "Try again when it is up",
    ),
    (
        r"session is read-only|server is in hot standby mode",
        "no server of the address can be written",
        "Name the primary server as well, or promote a replica",
    ),
    (
        r"statement pooling mode",
        "the pooler refuses transactions of several statements",
        "Set pool_mode=transaction or session for this database in the pooler",
    ),
    (
        r"unsupported startup parameter",
        "the pooler refuses a parameter of the address",
        "Remove it from the address, or name it in ignore_startup_parameters of the pooler",
    ),
)
_UNREACHABLE = "the server can't be reached", "Check that it runs, and the host and port of the address"

_CLOCK = "extract(epoch FROM clock_timestamp())::float8"
_STATE = f"SELECT current_setting('transaction_read_only'), {_CLOCK}, pg_backend_pid()"
# A replica begins a new timeline when it becomes the primary.
_TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
_NUMBER = f"SELECT {_CLOCK}, txid_current()"

_NAME = re.compile(r"(?<!:):([a-z_]+)")

# These have an id that the database gives.
_WITH_ID = re.compile(r"\s*INSERT INTO (jobs|accounts)\b")


class _Dead(Exception):
    """The connection was found dead, and nothing can have been committed."""


class _Result:
    """The outcome of one statement. See :class:`captchahub._journal.database.Cursor`.

    It waits for the server when it is looked at. What is never looked at, as most that is written, costs no
    round trip.
    """

    __slots__ = ("_count", "_rows", "_transaction")

    def __init__(self, transaction: _Transaction) -> None:
        self._transaction = transaction
        self._count = 0
        self._rows: Iterator[tuple[Any, ...]] | None = None

    def receive(self, cursor: psycopg.RawCursor[tuple[Any, ...]]) -> None:
        """Take what the server has replied."""
        self._count = cursor.rowcount
        self._rows = iter(() if cursor.rownumber is None else cursor.fetchall())

    @property
    def rowcount(self) -> int:
        self._received()
        return self._count

    @property
    def lastrowid(self) -> int | None:
        row = self.fetchone()
        return None if row is None else int(row[0])

    def fetchone(self) -> Any:
        return next(self._received(), None)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._received()

    def _received(self) -> Iterator[tuple[Any, ...]]:
        if self._rows is None:
            self._transaction.receive()
        assert self._rows is not None  # noqa: S101 - it has just been received
        return self._rows


class _Transaction:
    """An open transaction. See :class:`captchahub._journal.database.Connection`.

    In a pipeline, statements are sent when a result is looked at, and equal ones together, which takes half
    the CPU of sending each of them.
    """

    def __init__(
        self, connection: psycopg.Connection[tuple[Any, ...]], pipeline: psycopg.Pipeline | None = None
    ) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._unsent: list[tuple[bytes, Sequence[Any] | None, _Result]] = []
        self._sent: list[tuple[psycopg.RawCursor[tuple[Any, ...]], Sequence[_Result]]] = []

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None, /) -> _Result:
        text, names = _translated(sql)
        result = _Result(self)
        self._unsent.append((text, [parameters[name] for name in names] if parameters else None, result))
        if self._pipeline is None:
            self.receive()
        return result

    def send(self) -> None:
        """Send what is not sent yet."""
        unsent, self._unsent = self._unsent, []
        for text, statements in groupby(unsent, key=itemgetter(0)):
            _, values, results = zip(*statements, strict=True)
            cursor = psycopg.RawCursor(self._connection)
            if len(results) == 1:
                cursor.execute(text, values[0])
            else:
                cursor.executemany(text, values, returning=True)
            self._sent.append((cursor, results))

    def receive(self) -> None:
        """Wait until the server has replied to all statements."""
        self.send()
        if self._pipeline is not None:
            self._pipeline.sync()
        sent, self._sent = self._sent, []
        for cursor, results in sent:
            for result in results:
                result.receive(cursor)
                cursor.nextset()


def _settings(schema: str, lock_timeout: float, *, is_local: str) -> str:
    """Return the statement that sets what the journal needs.

    ``is_local`` is an expression in SQL: whether it is set for the transaction and not for the session.
    """
    values = {
        "search_path": _literal(quoted(schema)),
        "lock_timeout": _literal(f"{lock_timeout * 1000:.0f}"),
        # A machine that vanishes in the middle of a transaction must not keep the lock. A connection says
        # nothing for hours before the server takes it for dead.
        "idle_in_transaction_session_timeout": _literal(f"{lock_timeout * 1000:.0f}"),
        # A reservation must be on the disk before its job is sent, even if other transactions need not be.
        "synchronous_commit": (
            "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'"
            " ELSE current_setting('synchronous_commit') END"
        ),
    }
    items = (f"set_config('{name}', {value}, {is_local})" for name, value in values.items())
    return f"SELECT {', '.join(items)};"


def _literal(text: str) -> str:
    doubled = text.replace("'", "''").replace("\\", "\\\\")
    return f"E'{doubled}'"


def _is_dead(error: psycopg.Error, connection: psycopg.Connection[Any] | None) -> bool:
    """Return whether an error means that the connection can't be used any more."""
    is_ended = error.sqlstate is not None and error.sqlstate.startswith(_ENDED)
    return connection is None or connection.closed or is_ended


@cache
def _translated(sql: str) -> tuple[bytes, Sequence[str]]:
    """Return a statement as PostgreSQL understands it, and the names of its values in their order."""
    names: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        return f"${names.setdefault(match[1], len(names) + 1)}"

    text = _NAME.sub(numbered, sql).replace("instr(", "strpos(")
    if _WITH_ID.match(text):
        text += " RETURNING id"
    return text.encode(), tuple(names)


class PostgresDatabase:
    """A journal in a schema of the database at an address ``postgresql://user:password@host/database``.

    Raises JournalError if it cannot be opened. ``pooler`` says whether a pooler stands before the server that
    gives each transaction another connection, so that nothing may be kept in a session. None takes every
    pooler that is found for such a pooler, and False only means that it may listen. ``clock`` is the wall
    clock of this machine, in seconds since 1970. ``lock_timeout`` is how long other hubs may keep the journal
    locked, in seconds.

    A fork closes the connection, because a child that inherits it would end it for its parent; both connect
    again when they use it next. A fork also waits for the transaction under way.
    """

    def __init__(
        self,
        address: Secret,
        *,
        schema: str,
        pooler: bool | None = None,
        clock: Callable[[], float] = time.time,
        lock_timeout: float = _LOCK_TIMEOUT,
    ) -> None:
        self._name = f"journal {shown(address.reveal())}"
        try:
            parameters: Mapping[str, Any] = conninfo_to_dict(address.reveal())
        except psycopg.Error:
            # That error can quote a part of the password.
            advice = "Correct its parameters, and percent-encode special characters in it"
            raise self._unusable("the address can't be read", _NOT_OPENED, advice) from None
        self._password = str(parameters.get("password") or "")
        self._address = make_conninfo(
            **{name: str(value) for name, value in {**_DEFAULTS, **parameters}.items()}
        )
        self._schema = schema
        self._pooler = pooler
        self._clock = clock
        self._offset = 0.0
        self._lock_timeout = lock_timeout
        self._lock = threading.Lock()
        self._is_closed = False
        digest = sha256(f"captchahub journal {schema}".encode()).digest()
        key = int.from_bytes(digest[:8], signed=True)
        self._take_lock = f"SELECT pg_advisory_xact_lock({key});"
        self._is_pooled = False
        self._timeline: str | None = None
        self._begin_write = self._begin_read = b""
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        with no_fork:
            try:
                self._ready(_NOT_OPENED)
            except _Dead as error:
                self._fail(error.__cause__, _NOT_OPENED)
            # It is known now that the database can be used. A program that forks without Python's hooks, as
            # uWSGI does, would hand an open connection on to its children.
            self._disconnect()
            watch(self)

    def now(self) -> float:
        """Return the time of the server's wall clock, in seconds since 1970, as of the last transaction.

        Hubs whose own clocks disagree agree by it on which hub is alive.
        """
        return self._clock() + self._offset

    def transact(self, works: Sequence[Work[T]]) -> list[T | Exception]:
        """See :meth:`captchahub._journal.database.Database.transact`."""
        with self._lock:
            try:
                return self._repeated(lambda: self._transact(works), _NOT_WRITTEN)
            except OutcomeUnknown as error:
                message = str(error)
                # A work that has failed is known to have left nothing.
                return [
                    one if isinstance(one, Exception) else OutcomeUnknown(message, one) for one in error.done
                ]
            except JournalError as error:
                return [JournalError(str(error)) for _ in works]

    def read(self, work: Work[T]) -> T:
        """See :meth:`captchahub._journal.database.Database.read`."""
        with self._lock:
            return self._repeated(lambda: self._read(work), _NOT_READ)

    def listener(self, watchers: Watchers) -> PostgresListener | None:
        """Return what learns of ended jobs, or None behind a pooler, where no session could listen."""
        is_pooled = self._is_pooled if self._pooler is None else self._pooler
        return None if is_pooled else PostgresListener(self._address, self._schema, watchers)

    def close(self) -> None:
        """See :meth:`captchahub._journal.database.Database.close`."""
        with self._lock:
            self._is_closed = True
            self._disconnect()

    def before_fork(self) -> None:
        """See :class:`captchahub._support.forking.Forked`."""
        self._lock.acquire()
        self._disconnect()

    def after_fork(self, *, is_child: bool) -> None:  # noqa: ARG002 - both go on in the same way
        """See :class:`captchahub._support.forking.Forked`."""
        self._lock.release()

    def _repeated(self, step: Callable[[], T], undone: str) -> T:
        """Do something with the open connection, and with a new one if that was found dead.

        A server that was restarted has ended the connections, and nothing of that is worth an error.
        """
        was_open = self._connection is not None
        try:
            return step()
        except _Dead as error:
            if not was_open:
                self._fail(error.__cause__, undone)
        try:
            return step()
        except _Dead as error:
            self._fail(error.__cause__, undone)

    def _transact(self, works: Sequence[Work[T]]) -> list[T | Exception]:
        connection = self._ready(_NOT_WRITTEN)
        try:
            number = self._begin()
            # Statements that nothing waits for are sent together.
            with connection.pipeline() as pipeline:
                transaction = _Transaction(connection, pipeline)
                done = run_grouped(works, lambda work: work(transaction))
                transaction.send()
        except psycopg.Error as error:
            self._roll_back(error)
            failed: Exception = self._error(error, _NOT_WRITTEN)
        except BaseException as error:
            self._roll_back(error)
            if not isinstance(error, Exception):
                raise
            failed = error
        else:
            return self._commit(number, done)
        return [failed] if len(works) == 1 else self._transact_each(works)

    def _transact_each(self, works: Sequence[Work[T]]) -> list[T | Exception]:
        """Run works again of which one has failed, each in a savepoint, so that it spoils no other.

        Savepoints cost two round trips a work, and nearly always none is needed.
        """
        transaction = _Transaction(self._ready(_NOT_WRITTEN))
        try:
            number = self._begin()
            done = [self._run(transaction, work) for work in works]
        except BaseException as error:
            self._roll_back(error)
            if isinstance(error, psycopg.Error):
                self._fail(error, _NOT_WRITTEN)
            raise
        return self._commit(number, done)

    def _run(self, transaction: _Transaction, work: Work[T]) -> T | Exception:
        transaction.execute("SAVEPOINT work")
        try:
            done = work(transaction)
        except psycopg.Error as error:
            if _is_dead(error, self._connection):
                raise
            failed: Exception = self._error(error, _NOT_WRITTEN)
        except Exception as error:  # noqa: BLE001 - the caller of the work gets it
            failed = error
        else:
            transaction.execute("RELEASE work")
            return done
        transaction.execute("ROLLBACK TO work")
        transaction.execute("RELEASE work")
        return failed

    def _begin(self) -> int:
        """Begin a transaction that writes, follow the server's clock, and return its number."""
        cursor = self._start(self._begin_write)
        ((now, number),) = cursor.fetchall()
        self._offset = now - self._clock()
        return int(number)

    def _start(self, statements: bytes) -> psycopg.RawCursor[tuple[Any, ...]]:
        """Run several statements in one round trip, and return the result of the last one."""
        assert self._connection is not None  # noqa: S101 - it is ready
        cursor = psycopg.RawCursor(self._connection)
        # Several statements can't be prepared as one.
        cursor.execute(statements, prepare=False)
        while cursor.nextset():
            pass
        return cursor

    def _commit(self, number: int, done: list[T | Exception]) -> list[T | Exception]:
        try:
            cursor = self._start(b"COMMIT")
        except psycopg.Error as error:
            is_dead = _is_dead(error, self._connection)
            with suppress(_Dead):
                self._roll_back(error)
            if not is_dead:
                self._fail(error, _NOT_WRITTEN)
            return self._outcome_of(number, done, error)
        if cursor.statusmessage != "COMMIT":
            raise JournalError(f"{self._name}: a statement failed; {_NOT_WRITTEN}. Report it, if you can")
        return done

    def _outcome_of(
        self, number: int, done: list[T | Exception], cause: psycopg.Error
    ) -> list[T | Exception]:
        """Return what was done if the server has committed a transaction whose reply was lost.

        Raises _Dead if it has not, and OutcomeUnknown if it can't be asked.
        """
        until = steady() + _ASKED_FOR
        status = "in progress"
        timeline = self._timeline
        with suppress(JournalError, psycopg.Error, _Dead):
            while status == "in progress" and steady() < until:
                connection = self._ready(_NOT_WRITTEN)
                if self._timeline != timeline:
                    # A replica that has become the primary may have given the number to another transaction.
                    break
                found = _Transaction(connection).execute("SELECT txid_status(:number)", {"number": number})
                (status,) = found.fetchone()
                if status == "in progress":
                    time.sleep(_PAUSE)
        if status == "committed":
            return done
        if status == "aborted":
            raise _Dead from cause
        problem, advice = self._cause(cause)
        raise OutcomeUnknown(
            f"{self._name}: {problem}; whether it was written is unknown. {advice}", done
        ) from cause

    def _read(self, work: Work[T]) -> T:
        transaction = _Transaction(self._ready(_NOT_READ))
        try:
            # No lock: a reader sees one snapshot, and need not wait for a writer.
            self._start(self._begin_read)
            done = work(transaction)
            # Not a rollback, after which the client library would prepare every statement anew.
            self._start(b"COMMIT")
        except BaseException as error:
            self._roll_back(error)
            if isinstance(error, psycopg.Error):
                self._fail(error, _NOT_READ)
            raise
        return done

    def _roll_back(self, cause: BaseException) -> None:
        """Undo the open transaction. Raises _Dead if the connection is dead, and nothing else."""
        if not isinstance(cause, psycopg.Error) or not _is_dead(cause, self._connection):
            try:
                self._start(b"ROLLBACK")
            except psycopg.Error:
                self._disconnect()
        else:
            self._disconnect()
            raise _Dead from cause

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _ready(self, undone: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Return the open connection. Raises JournalError if the database can't be used, or _Dead."""
        if self._is_closed:
            raise JournalError(f"{self._name}: it is closed; {undone}. Make a new hub")
        if self._connection is None:
            try:
                self._connect(undone)
            except BaseException:
                self._disconnect()
                raise
        assert self._connection is not None  # noqa: S101 - it has just been made
        return self._connection

    def _connect(self, undone: str) -> None:
        try:
            connection = self._connection = psycopg.connect(self._address, autocommit=True)
        except psycopg.Error as error:
            self._fail(error, undone)
        # So that a statement has the same types, and is prepared once, whatever size its numbers have.
        connection.adapters.register_dumper(int, Int8Dumper)
        version = connection.info.server_version
        if version < _OLDEST * 10_000:
            problem = (
                f"the server is PostgreSQL {version // 10_000}, and {_OLDEST} is the oldest that can be used"
            )
            raise self._unusable(problem, undone, "Update the server")
        try:
            self._prepare(connection, undone)
            # Without the lock, because nearly always the tables are there, and a reader need not wait.
            transaction = _Transaction(connection)
            if self._is_pooled:
                # In a transaction, which a pooler in statement mode refuses.
                self._start(self._begin_read)
                is_ready = is_newest(transaction, self._schema)
                self._start(b"ROLLBACK")
            else:
                is_ready = is_newest(transaction, self._schema)
            if not is_ready:
                self._begin()
                migrate(transaction, self._schema, self._name)
                self._start(b"COMMIT")
        except psycopg.Error as error:
            if _is_dead(error, connection):
                self._disconnect()
                raise _Dead from error
            self._fail(error, undone)

    def _prepare(self, connection: psycopg.Connection[tuple[Any, ...]], undone: str) -> None:
        """Set what the journal needs, for the session unless that is pooled.

        Raises JournalError if the server is read-only.
        """
        # A pooler gives a client a number of its own, because it is not tied to one process of the server.
        number = connection.info.backend_pid
        is_local = "true" if self._pooler else f"pg_backend_pid() <> {number}"
        for_session = _settings(self._schema, self._lock_timeout, is_local=is_local)
        ((is_read_only, now, process),) = self._start(f"{for_session} {_STATE}".encode()).fetchall()
        if is_read_only == "on":
            problem, advice = _CAUSES["25006"]
            raise self._unusable(problem, undone, advice)
        self._offset = now - self._clock()
        self._is_pooled = bool(self._pooler) or process != number
        local = ""
        if self._is_pooled:
            # The next transaction has another session, which does not know a prepared statement.
            connection.prepare_threshold = None
            local = _settings(self._schema, self._lock_timeout, is_local="true")
        # Several statements in one round trip.
        begin = f"BEGIN ISOLATION LEVEL READ COMMITTED; {local} {self._take_lock}"
        self._begin_write = f"{begin} {_NUMBER}".encode()
        self._begin_read = f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {local}".encode()
        self._timeline = None
        # Some services offer PostgreSQL without this function, and without timelines.
        with suppress(psycopg.DatabaseError):
            ((self._timeline,),) = self._start(_TIMELINE.encode()).fetchall()

    def _unusable(self, problem: str, undone: str, advice: str) -> JournalError:
        return JournalError(f"{self._name}: {problem}; {undone}. {advice}")

    def _fail(self, cause: BaseException | None, undone: str) -> NoReturn:
        assert isinstance(cause, psycopg.Error)  # noqa: S101 - nothing else makes a connection dead
        raise self._error(cause, undone) from None

    def _error(self, cause: psycopg.Error, undone: str) -> JournalError:
        problem, advice = self._cause(cause)
        # Without the cause itself: the client library can quote parts of the address in its messages.
        return self._unusable(problem, undone, advice)

    def _cause(self, cause: psycopg.Error) -> tuple[str, str]:
        """Return what a failure of the client library means, and what to do."""
        code = cause.sqlstate
        # The first line only: others can quote a row.
        said = self._masked(cause.diag.message_primary or str(cause))
        if code == "55P03":
            advice = "See in pg_locks which program holds the advisory lock"
            return f"other hubs have kept it locked for {self._lock_timeout:g} s", advice
        if code is not None and code in _CAUSES:
            problem, advice = _CAUSES[code]
        elif not isinstance(cause, psycopg.OperationalError):
            problem, advice = type(cause).__name__, "Report it, if you can't explain it"
        else:
            problem, advice = next(
                (found for pattern, *found in _REFUSED if re.search(pattern, said)), _UNREACHABLE
            )
        return f"{problem} ({said})", advice

    def _masked(self, message: str) -> str:
        """Return the message of an error in one line, without the password."""
        text = " ".join(message.split())
        return text.replace(self._password, "***") if self._password else text
