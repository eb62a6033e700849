"""The databases that can keep the journal of a run: all that differs between them, and their own faults.

``SIM_STORE=postgres`` chooses PostgreSQL; the default is SQLite in memory.
"""

from __future__ import annotations

import atexit
import os
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from enum import Enum
from random import Random
from typing import Any, Protocol

import psycopg

from captchahub._journal.database import Connection, T, Work
from captchahub._journal.postgres import (
    _CLOCK,  # pyright: ignore[reportPrivateUsage]
    PostgresDatabase,
    _Transaction,  # pyright: ignore[reportPrivateUsage]
)
from captchahub._journal.rows import COLUMNS
from captchahub._journal.sqlite import SqliteDatabase
from captchahub.errors import JournalError
from captchahub.provider import Secret
from tests.journal.stores import empty_tables
from tests.postgres_server import drop_schema, shared_server, with_options
from tests.simulation.world import SimulatedWorld

__all__ = ["STORE", "Loss", "Store", "new_store"]

STORE = os.environ.get("SIM_STORE", "sqlite")
"""The kind of store for the runs: ``sqlite`` or ``postgres``."""


class Store(Protocol):
    """The database of one run. The view ``every_job`` has the pruned jobs too, and ``pruned`` only those."""

    def open(self) -> Callable[[], float]:
        """Open it for a new hub, and return the wall clock that the hub follows."""
        ...

    def transact(self, works: Sequence[Work[T]], *, may_fail: bool) -> list[T | Exception]:
        """Run the works of one commit, with a fault of the store now and then unless the world is calm.

        Only if ``may_fail`` is true, the hub may get an error.
        """
        ...

    def read(self, work: Work[T]) -> T:
        """Read outside of all processes."""
        ...

    def close(self) -> None:
        """End the run."""
        ...


def new_store(kind: str, world: SimulatedWorld) -> Store:
    """Return an empty store of a kind. Raises ValueError if there is no such kind."""
    match kind:
        case "sqlite":
            return _SqliteStore(world)
        case "postgres":
            return _PostgresStore(world)
        case _:
            raise ValueError(f"the store of a run is sqlite or postgres, not {kind}")


_EVERY_JOB = f"SELECT {COLUMNS} FROM jobs UNION ALL SELECT {COLUMNS} FROM pruned"


class _SqliteStore:
    """SQLite in memory. Its commits have no faults but those of :class:`tests.simulation.journal`."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world
        self._database = SqliteDatabase(None)
        assert self._database.transact([_keep_pruned_in_sqlite]) == [None]

    def open(self) -> Callable[[], float]:
        return self._world.wall

    def transact(self, works: Sequence[Work[T]], *, may_fail: bool) -> list[T | Exception]:
        return self._database.transact(works)

    def read(self, work: Work[T]) -> T:
        return self._database.read(work)

    def close(self) -> None:
        self._database.close()


def _keep_pruned_in_sqlite(connection: Connection) -> None:
    connection.execute("CREATE TEMP TABLE pruned AS SELECT * FROM jobs WHERE 0")
    connection.execute(
        """
        CREATE TEMP TRIGGER keep_pruned BEFORE DELETE ON main.jobs
        BEGIN INSERT INTO pruned SELECT * FROM jobs WHERE id = OLD.id; END
        """
    )
    connection.execute(f"CREATE TEMP VIEW every_job AS {_EVERY_JOB}")


class Loss(Enum):
    """When the connection to a PostgreSQL server is lost, with the name of the fault."""

    IDLE = "connection lost before a transaction"
    SENDING = "connection lost before the commit arrived"
    REPLYING = "reply to a commit lost"


# How often a connection is lost, for each transaction, and how often the server can't be asked then.
_LOSSES = 0.02
_UNREACHABLE = 0.6


class _PostgresStore:
    """A schema of a real PostgreSQL server, which the runs of a process use one after another."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world
        self._chance: Random = world.chance("connection")
        if not _kept:
            _kept.append(_SimulatedServer())
        self._database = _kept[0]
        self._database.begin(world)

    def open(self) -> Callable[[], float]:
        self._database.synchronize()
        return self._database.now

    def transact(self, works: Sequence[Work[T]], *, may_fail: bool) -> list[T | Exception]:
        if self._world.is_calm or self._chance.random() >= _LOSSES:
            return self._database.transact(works)
        loss = self._chance.choice(tuple(Loss))
        is_unreachable = may_fail and self._chance.random() < _UNREACHABLE
        self._world.inject(loss.value + (", and the server can't be reached" if is_unreachable else ""))
        with self._database.losing(loss, is_unreachable=is_unreachable):
            return self._database.transact(works)

    def read(self, work: Work[T]) -> T:
        return self._database.look(work)

    def close(self) -> None:
        """Leave the schema to the next run."""


class _SimulatedServer(PostgresDatabase):
    """PostgreSQL with the world's clock as that of its server, and a connection that can be lost.

    The clock of the clients' machine is decades behind, so that a time which is not the server's is noticed.
    """

    def __init__(self) -> None:
        self._world: SimulatedWorld | None = None
        self._loss: Loss | None = None
        self._is_unreachable = False
        address, schema = shared_server(), f"worlds_{uuid.uuid4().hex}"
        super().__init__(Secret(address), schema=schema, clock=self._machine_clock)
        assert self.transact([_keep_pruned_in_postgres]) == [None]
        # The checks read in a connection of their own, which is never lost.
        self._reader = psycopg.connect(
            with_options(address, options=f"-csearch_path={schema}"), autocommit=True
        )
        atexit.register(drop_schema, address, schema)
        atexit.register(self._reader.close)
        atexit.register(self.close)

    def begin(self, world: SimulatedWorld) -> None:
        """Begin a run with empty tables."""
        self._world = world
        assert self.transact([_empty]) == [None]

    def look(self, work: Work[T]) -> T:
        """Read what is committed, one statement at a time."""
        return work(_Transaction(self._reader))

    def synchronize(self) -> None:
        """Learn the time of the server, as a new connection does."""
        assert self.transact([]) == []

    @contextmanager
    def losing(self, loss: Loss, *, is_unreachable: bool) -> Generator[None]:
        """Lose the connection in the next transaction; the server may not be reachable then."""
        if loss is Loss.IDLE:
            self._break()
        self._loss, self._is_unreachable = loss, is_unreachable
        try:
            yield
        finally:
            self._loss, self._is_unreachable = None, False

    def _machine_clock(self) -> float:
        return 0.0 if self._world is None else self._world.loop.time()

    def _start(self, statements: bytes) -> psycopg.RawCursor[tuple[Any, ...]]:
        if self._world is not None:
            statements = statements.replace(_CLOCK.encode(), f"{self._world.wall()!r}::float8".encode())
        if statements != b"COMMIT" or self._loss in (None, Loss.IDLE):
            return super()._start(statements)
        loss, self._loss = self._loss, None
        if loss is Loss.REPLYING:
            super()._start(statements)
        self._break()
        raise psycopg.OperationalError("the simulated network has lost the connection")

    def _connect(self, undone: str) -> None:
        if self._is_unreachable:
            raise JournalError(f"the simulated server can't be reached; {undone}")
        super()._connect(undone)

    def _break(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _keep_pruned_in_postgres(connection: Connection) -> None:
    connection.execute("CREATE TABLE pruned (LIKE jobs)")
    connection.execute(
        """
        CREATE FUNCTION keep_pruned() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO pruned SELECT OLD.*; RETURN OLD; END $$
        """
    )
    connection.execute(
        "CREATE TRIGGER keep_pruned BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION keep_pruned()"
    )
    connection.execute(f"CREATE VIEW every_job AS {_EVERY_JOB}")


def _empty(connection: Connection) -> None:
    empty_tables(connection)
    connection.execute("DELETE FROM pruned")


_kept: list[_SimulatedServer] = []
