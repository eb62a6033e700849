"""The stores that tests of the journal run on: each test on all of them.

``CAPTCHAHUB_STORES=sqlite`` chooses, separated by spaces.
"""

from __future__ import annotations

import atexit
import os
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from captchahub._journal.database import Connection, Database, T, Work
from captchahub._journal.sqlite import SqliteDatabase
from captchahub.provider import Secret

STORES = tuple(os.environ.get("CAPTCHAHUB_STORES", "sqlite postgres").split())

needs_postgres = pytest.mark.skipif("postgres" not in STORES, reason="CAPTCHAHUB_STORES has no postgres")

_present = "sqlite"


def use_store(kind: str) -> None:
    """Make :func:`new_store` return stores of this kind, and take those of the last test back."""
    global _present  # noqa: PLW0603 - the objects of tests make their stores themselves
    _present = kind
    _schemas.release()


def new_store() -> Database:
    """Return an empty journal that no other test has."""
    return SqliteDatabase(None) if _present == "sqlite" else _schemas.take()


@attrs.frozen
class Place:
    """A journal that several processes can open."""

    path: Path | None = None
    address: str = ""
    schema: str = ""

    @property
    def configured(self) -> object:
        """The value of ``journal`` in a configuration."""
        return {"url": self.address, "schema": self.schema} if self.path is None else str(self.path)

    def opened(self) -> Database:
        """Open it; other processes may keep it locked for a minute."""
        if self.path is not None:
            return SqliteDatabase(self.path, busy_timeout=60)
        from captchahub._journal.postgres import PostgresDatabase  # noqa: PLC0415

        return PostgresDatabase(Secret(self.address), schema=self.schema, lock_timeout=60)


@contextmanager
def place_of(kind: str, folder: Path | None) -> Generator[Place]:
    """Yield the place of a new journal of a kind; one in a file needs a folder."""
    if kind == "sqlite":
        assert folder is not None
        yield Place(path=folder / "jobs.db")
        return
    from tests.postgres_server import drop_schema, shared_server  # noqa: PLC0415

    place = Place(address=shared_server(), schema=f"test_{uuid.uuid4().hex}")
    try:
        yield place
    finally:
        drop_schema(place.address, place.schema)


class KeptDatabase:
    """A journal in a schema, for one test after another, because making the tables takes a while."""

    def __init__(self) -> None:
        # Imported here, because the first use starts a server.
        from captchahub._journal.postgres import PostgresDatabase  # noqa: PLC0415
        from tests.postgres_server import shared_server  # noqa: PLC0415

        self._address = shared_server()
        self._schema = f"kept_{uuid.uuid4().hex}"
        self._store = PostgresDatabase(Secret(self._address), schema=self._schema)
        atexit.register(self._remove)

    def transact(self, works: Sequence[Work[T]]) -> list[T | Exception]:
        return self._store.transact(works)

    def read(self, work: Work[T]) -> T:
        return self._store.read(work)

    def close(self) -> None:
        """Stay open for the next test."""

    def empty(self) -> None:
        assert self._store.transact([empty_tables]) == [None]

    def _remove(self) -> None:
        from tests.postgres_server import drop_schema  # noqa: PLC0415

        self._store.close()
        drop_schema(self._address, self._schema)


_TABLES = (
    *("jobs", "owners", "accounts", "account_marks", "ledger", "health", "job_times"),
    *("leased_slots", "rate_grants", "revivals"),
)


def empty_tables(connection: Connection) -> None:
    """Empty the tables of a journal in PostgreSQL, and let ids begin with 1 again."""
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table}")
    for table in ("jobs", "accounts"):
        connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1, false)")


class _Schemas:
    def __init__(self) -> None:
        self._free: list[KeptDatabase] = []
        self._used: list[KeptDatabase] = []

    def take(self) -> KeptDatabase:
        database = self._free.pop() if self._free else KeptDatabase()
        self._used.append(database)
        return database

    def release(self) -> None:
        while self._used:
            database = self._used.pop()
            database.empty()
            self._free.append(database)


_schemas = _Schemas()
