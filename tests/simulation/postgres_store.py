"""PostgreSQL as the journal of a run: a connection for each hub, and connections that are lost."""

from __future__ import annotations

import atexit
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import psycopg

from captchahub._journal.database import Connection, T, Work
from captchahub._journal.postgres import (
    _CLOCK,  # pyright: ignore[reportPrivateUsage]
    PostgresDatabase,
    _Transaction,  # pyright: ignore[reportPrivateUsage]
)
from captchahub.errors import JournalError
from captchahub.provider import Secret
from tests.journal.stores import empty_tables
from tests.postgres_server import drop_schema, shared_server, with_options
from tests.simulation.stores import COUNTS, EVERY_JOB, Store, StoreConnection
from tests.simulation.world import SimulatedWorld

__all__ = ["Loss", "new_postgres_store"]


class Loss(Enum):
    """When the connection to a PostgreSQL server is lost, with the name of the fault."""

    IDLE = "connection lost before a transaction"
    SENDING = "connection lost before the commit arrived"
    REPLYING = "reply to a commit lost"
    READING = "connection lost while the journal was read"


_LOSSES_OF_WRITES = (Loss.IDLE, Loss.SENDING, Loss.REPLYING)
_LOSSES_OF_READS = (Loss.IDLE, Loss.READING)

# How often a connection is lost, for each transaction, and how often the server can't be asked then.
_LOSSES = 0.02
_UNREACHABLE = 0.6

# On tables as small as these, to parse and plan a statement takes longer than to run it.
_OPTIONS = "-cplan_cache_mode=force_generic_plan -cjit=off"


def new_postgres_store(world: SimulatedWorld) -> Store:
    """Return the empty store of a run. The runs of a process use one schema, one after another."""
    if not _kept:
        _kept.append(_Schema())
    return _PostgresStore(world, _kept[0])


class _Schema:
    """A schema of a real server, and the connections that hubs of earlier runs have left.

    To open a connection takes longer than all that a hub does in it.
    """

    def __init__(self) -> None:
        self._address = _nearest(shared_server())
        self._name = f"worlds_{uuid.uuid4().hex}"
        self._free: list[_HubDatabase] = []
        first = self.take()
        assert first.transact([_keep_pruned]) == [None]
        first.close()
        # The checks read in a connection of their own, which is never lost.
        self.reader = psycopg.connect(
            with_options(self._address, options=f"{_OPTIONS} -csearch_path={self._name}"), autocommit=True
        )
        atexit.register(self._close)

    def take(self) -> _HubDatabase:
        """Return a connection that no other hub has."""
        if self._free:
            return self._free.pop()
        return _HubDatabase(with_options(self._address, options=_OPTIONS), self._name)

    def give_back(self, connections: Sequence[_HubDatabase]) -> None:
        """Leave connections to the next run, whose first hub gets the first one."""
        self._free += reversed(connections)

    def empty(self) -> None:
        """Empty all tables."""
        with self.reader.transaction(), self.reader.pipeline() as pipeline:
            connection = _Transaction(self.reader, pipeline)
            empty_tables(connection)
            connection.execute("DELETE FROM pruned")
            connection.send()

    def _close(self) -> None:
        self.reader.close()
        for one in self._free:
            one.close()
        drop_schema(self._address, self._name)


def _nearest(address: str) -> str:
    """Return the address of the same server by its socket in the file system, if there is one."""
    with psycopg.connect(address) as connection:
        found = connection.execute(
            "SELECT current_setting('unix_socket_directories'), current_setting('port')"
        ).fetchone()
    assert found is not None
    folder, port = found
    return with_options(address, host=folder) if Path(folder, f".s.PGSQL.{port}").exists() else address


_kept: list[_Schema] = []


class _PostgresStore:
    """One run in a schema."""

    def __init__(self, world: SimulatedWorld, schema: _Schema) -> None:
        self._world = world
        self._schema = schema
        self._chance = world.chance("connection")
        self._taken: list[_HubDatabase] = []
        self._last: _HubDatabase | None = None
        schema.empty()

    def connect(self) -> StoreConnection:
        database = self._schema.take()
        self._taken.append(database)
        database.begin(self._world)
        return _PostgresConnection(self, database)

    def counts(self) -> tuple[int | None, int]:
        counted = None if self._last is None else self._last.counted
        return counted or self.look(lambda connection: connection.execute(COUNTS).fetchone())

    def look(self, work: Work[T]) -> T:
        return work(_Transaction(self._schema.reader))

    def close(self) -> None:
        self._schema.give_back(self._taken)

    @contextmanager
    def using(
        self, database: _HubDatabase, losses: Sequence[Loss], *, may_fail: bool
    ) -> Generator[_HubDatabase]:
        """Yield the connection of a hub, which may be lost then."""
        self._last, database.counted = database, None
        if self._world.is_calm or self._chance.random() >= _LOSSES:
            yield database
            return
        loss = self._chance.choice(losses)
        is_unreachable = may_fail and self._chance.random() < _UNREACHABLE
        self._world.inject(loss.value + (", and the server can't be reached" if is_unreachable else ""))
        with database.losing(loss, is_unreachable=is_unreachable):
            yield database


class _PostgresConnection:
    def __init__(self, store: _PostgresStore, database: _HubDatabase) -> None:
        self._store = store
        self._database = database

    def now(self) -> float:
        return self._database.now()

    def transact(self, works: Sequence[Work[T]], *, may_fail: bool) -> list[T | Exception]:
        with self._store.using(self._database, _LOSSES_OF_WRITES, may_fail=may_fail) as database:
            return database.transact(works)

    def read(self, work: Work[T], *, may_fail: bool) -> T:
        with self._store.using(self._database, _LOSSES_OF_READS, may_fail=may_fail) as database:
            return database.read(work)


class _HubDatabase(PostgresDatabase):
    """The database as one hub has it, with the world's clock as that of the server.

    The clock of the hub's machine is decades behind, so that a time which is not the server's is noticed.
    """

    def __init__(self, address: str, schema: str) -> None:
        self.counted: tuple[int | None, int] | None = None
        """What :meth:`Store.counts` returns after the last transaction, if its reply has arrived."""
        self._world: SimulatedWorld | None = None
        self._loss: Loss | None = None
        self._is_unreachable = False
        self._is_reading = False
        super().__init__(Secret(address), schema=schema, clock=self._machine_clock)

    def begin(self, world: SimulatedWorld) -> None:
        """Be that of a new hub, which learns the time of the server as it connects."""
        self._world = world
        assert self.transact([]) == []

    def read(self, work: Work[T]) -> T:
        self._is_reading = True
        try:
            return super().read(work)
        finally:
            self._is_reading = False

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
        if self._world is None:
            return super()._start(statements)
        if statements == b"COMMIT":
            if self._loss in (Loss.SENDING, Loss.REPLYING, Loss.READING):
                self._lose(statements, is_sent=self._loss is Loss.REPLYING)
            return super()._start(statements) if self._is_reading else self._commit_and_count()
        return super()._start(statements.replace(_CLOCK.encode(), f"{self._world.wall()!r}::float8".encode()))

    def _lose(self, statements: bytes, *, is_sent: bool) -> None:
        self._loss = None
        if is_sent:
            super()._start(statements)
        self._break()
        raise psycopg.OperationalError("the simulated network has lost the connection")

    def _commit_and_count(self) -> psycopg.RawCursor[tuple[Any, ...]]:
        """Commit, and look at what is committed then, in one round trip."""
        assert self._connection is not None
        cursor = psycopg.RawCursor(self._connection)
        cursor.execute(f"COMMIT; {COUNTS}", prepare=False)
        cursor.set_result(1)
        self.counted = cursor.fetchone()
        return cursor.set_result(0)

    def _connect(self, undone: str) -> None:
        if self._is_unreachable:
            raise JournalError(f"the simulated server can't be reached; {undone}")
        super()._connect(undone)
        if self._connection is not None:
            # The connection is used by many hubs, but not for long by each.
            self._connection.prepare_threshold, self._connection.prepared_max = 1, 1000

    def _break(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _keep_pruned(connection: Connection) -> None:
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
    connection.execute(f"CREATE VIEW every_job AS {EVERY_JOB}")
