"""The databases that can keep the journal of a run, and how a hub connects to them.

``SIM_STORE=postgres`` chooses PostgreSQL; the default is SQLite in memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from captchahub._journal.database import Connection, T, Work
from captchahub._journal.rows import COLUMNS
from captchahub._journal.sqlite import SqliteDatabase
from tests.simulation.world import SimulatedWorld

__all__ = ["COUNTS", "EVERY_JOB", "STORE", "Store", "StoreConnection", "new_store"]

STORE = os.environ.get("SIM_STORE", "sqlite")
"""The kind of store for the runs: ``sqlite`` or ``postgres``."""

EVERY_JOB = f"SELECT {COLUMNS} FROM jobs UNION ALL SELECT {COLUMNS} FROM pruned"
"""The query of the view ``every_job``."""

COUNTS = "SELECT (SELECT max(id) FROM jobs), (SELECT count(*) FROM pruned)"
"""The query of :meth:`Store.counts`."""


class StoreConnection(Protocol):
    """The connection of one hub. A step of the simulation ends each transaction that it begins."""

    def now(self) -> float:
        """Return the wall clock that the hub follows."""
        ...

    def transact(self, works: Sequence[Work[T]], *, may_fail: bool) -> list[T | Exception]:
        """Run the works of one commit, with a fault of the store now and then unless the world is calm.

        Only if ``may_fail`` is true, the hub may get an error.
        """
        ...

    def read(self, work: Work[T], *, may_fail: bool) -> T:
        """Return what a work that only reads finds, with faults as in :meth:`transact`."""
        ...


class Store(Protocol):
    """The database of one run. The view ``every_job`` has the pruned jobs too, and ``pruned`` only those."""

    def connect(self) -> StoreConnection:
        """Open it for a new hub."""
        ...

    def counts(self) -> tuple[int | None, int]:
        """Return the highest number of a job, or None, and how many jobs are pruned."""
        ...

    def look(self, work: Work[T]) -> T:
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
            # Imported here, because the first use starts a server.
            from tests.simulation.postgres_store import new_postgres_store  # noqa: PLC0415

            return new_postgres_store(world)
        case _:
            raise ValueError(f"the store of a run is sqlite or postgres, not {kind}")


class _SqliteStore:
    """SQLite in memory, with one connection for all hubs.

    Its only faults are those of :mod:`tests.simulation.journal`.
    """

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world
        self._database = SqliteDatabase(None)
        assert self._database.transact([_keep_pruned]) == [None]

    def connect(self) -> StoreConnection:
        return self

    def now(self) -> float:
        return self._world.wall()

    def transact(self, works: Sequence[Work[T]], *, may_fail: bool) -> list[T | Exception]:
        return self._database.transact(works)

    def read(self, work: Work[T], *, may_fail: bool) -> T:
        return self._database.read(work)

    def counts(self) -> tuple[int | None, int]:
        newest, pruned = self.look(lambda connection: connection.execute(COUNTS).fetchone())
        return newest, pruned

    def look(self, work: Work[T]) -> T:
        return self._database.read(work)

    def close(self) -> None:
        self._database.close()


def _keep_pruned(connection: Connection) -> None:
    connection.execute("CREATE TEMP TABLE pruned AS SELECT * FROM jobs WHERE 0")
    connection.execute(
        """
        CREATE TEMP TRIGGER keep_pruned BEFORE DELETE ON main.jobs
        BEGIN INSERT INTO pruned SELECT * FROM jobs WHERE id = OLD.id; END
        """
    )
    connection.execute(f"CREATE TEMP VIEW every_job AS {EVERY_JOB}")
