"""Connections of the pools that an app of Procrastinate has opened."""

from __future__ import annotations

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from psycopg import AsyncConnection, Connection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from captchahub_procrastinate.tables import Statement

__all__ = ["AnyConnection", "async_pool", "fetch_one", "fetch_one_async", "sync_pool"]

AnyConnection = Connection[TupleRow] | AsyncConnection[TupleRow]

_WHICH = "captchahub-procrastinate needs an app with a PsycopgConnector"


def sync_pool(app: App) -> ConnectionPool[Connection[TupleRow]]:
    """Return the pool for blocking code. Raises TypeError, or AppNotOpen before ``app.open()``."""
    connector = app.connector.get_sync_connector()
    if isinstance(connector, PsycopgConnector):
        raise TypeError("this app was opened with open_async(): await the method whose name ends in _async")
    if not isinstance(connector, SyncPsycopgConnector):
        raise TypeError(f"{_WHICH} or a SyncPsycopgConnector, not a {type(connector).__name__}")
    return connector.pool


def async_pool(app: App) -> AsyncConnectionPool[AsyncConnection[TupleRow]]:
    """Return the pool for coroutines. Raises TypeError, or AppNotOpen before ``app.open_async()``."""
    if not isinstance(app.connector, PsycopgConnector):
        raise TypeError(f"{_WHICH}, not a {type(app.connector).__name__}")
    return app.connector.pool


def fetch_one(connection: Connection[TupleRow], statement: Statement) -> tuple[object, ...] | None:
    """Run a statement and return its first row, if it has one."""
    cursor = connection.execute(statement.sql, statement.values)
    return cursor.fetchone() if cursor.description else None


async def fetch_one_async(
    connection: AsyncConnection[TupleRow], statement: Statement
) -> tuple[object, ...] | None:
    """As :func:`fetch_one`."""
    cursor = await connection.execute(statement.sql, statement.values)
    return await cursor.fetchone() if cursor.description else None
