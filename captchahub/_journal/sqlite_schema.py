"""The journal's tables in SQLite, and the way from every older version of them to the newest one.

To change them, append the statements of the next version to ``MIGRATIONS``, and leave the others as they are,
comments included: SQLite stores them in the file. SQLite 3.26, as RHEL 8 has it, must understand them: no
RETURNING, no STRICT and no DROP COLUMN.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress

from captchahub.errors import JournalError

__all__ = ["MIGRATIONS", "VERSION", "migrate", "roll_back"]

# Marks a file as a journal: "cHub".
_APPLICATION = 0x63487562

_FIRST = (
    f"PRAGMA application_id = {_APPLICATION}",
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice, for it is told to others
        submission TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN (
            'intent', 'created', 'solved', 'failed', 'expired', 'not_sent', 'refused', 'ambiguous')),
        provider TEXT NOT NULL,
        kind TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        options TEXT NOT NULL,                -- JSON
        job_id TEXT,                          -- JSON, so that a number stays one
        price INTEGER,                        -- amounts are whole billionths
        price_source TEXT,
        currency TEXT,
        charge INTEGER NOT NULL DEFAULT 0,    -- what the ledger counts for this job now
        answer TEXT,                          -- JSON
        error TEXT,
        owner TEXT,                           -- NULL: nobody's, to be claimed
        is_shared INTEGER NOT NULL,
        ordered_at REAL NOT NULL,             -- times are seconds since 1970
        updated_at REAL NOT NULL
    )
    """,
    "CREATE INDEX jobs_open ON jobs (state, owner) WHERE state IN ('intent', 'created')",
    """
    CREATE INDEX jobs_ended ON jobs (updated_at)
        WHERE state IN ('solved', 'failed', 'expired', 'not_sent', 'refused')
    """,
    "CREATE INDEX jobs_fingerprint ON jobs (fingerprint)",
    # A hub without a row here, or whose time is over, is dead.
    "CREATE TABLE owners (id TEXT PRIMARY KEY, alive_until REAL NOT NULL) WITHOUT ROWID",
    # Every charge stands here twice: in its slot, and in its day in UTC. WITHOUT ROWID keeps the rows in the
    # order of the key, so that a sum over a period reads one range.
    """
    CREATE TABLE ledger (
        span INTEGER NOT NULL,                -- the seconds that a row adds up
        slot INTEGER NOT NULL,                -- the time that they begin with
        provider TEXT NOT NULL,
        kind TEXT NOT NULL,
        currency TEXT NOT NULL,               -- '' where it is not known
        charge INTEGER NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (span, slot, provider, kind, currency)
    ) WITHOUT ROWID
    """,
)

_SECOND = (
    # What a person said of a job, and not the library.
    "ALTER TABLE jobs ADD COLUMN is_by_hand INTEGER NOT NULL DEFAULT 0",
    # Only shared jobs are looked for by their fingerprint.
    "DROP INDEX jobs_fingerprint",
    "CREATE INDEX jobs_shared ON jobs (fingerprint) WHERE is_shared = 1",
    "CREATE INDEX jobs_job ON jobs (provider, job_id) WHERE job_id IS NOT NULL",
)

_THIRD = (
    # Where the picture that was sent lies in the task's own picture; NULL if it is that picture.
    "ALTER TABLE jobs ADD COLUMN frame TEXT",
)

_FOURTH = (
    # Whether a caller has received the answer. The few undelivered answers have an index of their own.
    "ALTER TABLE jobs ADD COLUMN is_given INTEGER NOT NULL DEFAULT 1",
    "CREATE INDEX jobs_left ON jobs (is_given, owner) WHERE is_given = 0",
)

_FIFTH = (
    # The account of a job; 0 for all that were written before there were accounts.
    "ALTER TABLE jobs ADD COLUMN account INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        plugin TEXT NOT NULL,
        address TEXT NOT NULL                 -- for people, without what could be a token
    )
    """,
    # What tells an account from others, such as its token, is hashed with a key that only this journal has,
    # so that the hashes of two journals cannot be compared.
    "CREATE TABLE account_marks (digest BLOB PRIMARY KEY, account INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE mark_key (key BLOB NOT NULL)",
    "INSERT INTO mark_key VALUES (randomblob(32))",
    "ALTER TABLE ledger RENAME TO ledger_by_name",
    """
    CREATE TABLE ledger (
        span INTEGER NOT NULL,                -- the seconds that a row adds up
        slot INTEGER NOT NULL,                -- the time that they begin with
        account INTEGER NOT NULL,
        provider TEXT NOT NULL,
        kind TEXT NOT NULL,
        currency TEXT NOT NULL,               -- '' where it is not known
        charge INTEGER NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (span, slot, account, provider, kind, currency)
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO ledger
        SELECT span, slot, 0, provider, kind, currency, charge, jobs FROM ledger_by_name
    """,
    "DROP TABLE ledger_by_name",
    # A job is also looked for by a hub that has another name for the provider.
    "DROP INDEX jobs_job",
    "CREATE INDEX jobs_job ON jobs (job_id) WHERE job_id IS NOT NULL",
)

MIGRATIONS: Sequence[Sequence[str]] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)
"""The statements that make each version from the one before it, and the first from an empty file."""

VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, name: str, upto: int = VERSION) -> None:
    """Bring the tables of an open journal to a version, step by step.

    A step and its new version number are one transaction, so that the file always has one whole version.
    Raises JournalError, with the ``name`` of the file, if it has a newer version or is no journal.
    """
    while _step(connection, name, upto):
        pass


def _step(connection: sqlite3.Connection, name: str, upto: int) -> bool:
    # The check and the step are one transaction, because another process may open the file at the same time.
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, name)
        is_due = version < upto
        if is_due:
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise
    return is_due


def roll_back(connection: sqlite3.Connection) -> None:
    """End the transaction, unless SQLite has done so itself."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection, name: str) -> int:
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    is_empty = not (application or version or _number(connection, "SELECT count(*) FROM sqlite_master"))
    if not is_empty and (application != _APPLICATION or version < 1):
        raise JournalError(
            f"{name}: it is a database of something else, not a journal; no job was created. "
            "Name another file for the journal"
        )
    if version > VERSION:
        raise JournalError(
            f"{name}: it is of version {version}, written by a newer captchahub, and this one knows versions "
            f"up to {VERSION}; no job was created. Update captchahub, or name another file for the journal"
        )
    return version


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])
