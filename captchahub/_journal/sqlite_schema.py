"""The journal's tables in SQLite, and the way from every older version of them to the newest one.

To change them, change ``TABLES``, which a new file begins with, and append to ``MIGRATIONS`` the statements
that do the same to an older file; a test compares the two. Earlier migrations stay as they are, because files
were made with them. SQLite 3.26, as RHEL 8 has it, must understand all statements: no RETURNING, no STRICT
and no DROP COLUMN.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain

from captchahub.errors import JournalError

# Marks a file as a journal: "cHub".
_APPLICATION = 0x63487562

TABLES: Sequence[str] = (
    f"PRAGMA application_id = {_APPLICATION}",
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice, because callers know it
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
        owner TEXT,                           -- NULL: any hub may claim it
        is_shared INTEGER NOT NULL,
        ordered_at REAL NOT NULL,             -- times are seconds since 1970
        updated_at REAL NOT NULL,
        is_by_hand INTEGER NOT NULL DEFAULT 0,  -- whether a person settled it, not the library
        frame TEXT,                           -- JSON; NULL if the whole picture of the task was sent
        is_given INTEGER NOT NULL DEFAULT 1,  -- whether a caller has received the answer
        account INTEGER NOT NULL DEFAULT 0,   -- 0 for all that were written before there were accounts
        label TEXT                            -- the caller's own name of the task
    )
    """,
    # Partial indexes: nearly all jobs have ended and are not looked for again.
    "CREATE INDEX jobs_shared ON jobs (fingerprint) WHERE is_shared = 1",
    "CREATE INDEX jobs_left ON jobs (is_given, owner) WHERE is_given = 0",
    # Without the provider, because a job is also looked for by a hub that has another name for it.
    "CREATE INDEX jobs_job ON jobs (job_id) WHERE job_id IS NOT NULL",
    # A hub without a row here, or whose time is over, is dead.
    "CREATE TABLE owners (id TEXT PRIMARY KEY, alive_until REAL NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        plugin TEXT NOT NULL,
        address TEXT NOT NULL                 -- for people, without what could be a token
    )
    """,
    # What distinguishes an account from others, such as its token, is hashed with a key that only this
    # journal has, so that the hashes of two journals cannot be compared.
    "CREATE TABLE account_marks (digest BLOB PRIMARY KEY, account INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE mark_key (key BLOB NOT NULL)",
    "INSERT INTO mark_key VALUES (randomblob(32))",
    # Every charge is here twice: in its slot, and in its day in UTC. WITHOUT ROWID keeps the rows in the
    # order of the key, so that a sum over a period reads one range.
    """
    CREATE TABLE ledger (
        span INTEGER NOT NULL,                -- the seconds that a row adds up
        slot INTEGER NOT NULL,                -- the time that they begin with
        account INTEGER NOT NULL,
        provider TEXT NOT NULL,
        kind TEXT NOT NULL,
        currency TEXT NOT NULL,               -- '' if it is unknown
        charge INTEGER NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (span, slot, account, provider, kind, currency)
    ) WITHOUT ROWID
    """,
    # The providers that hubs do not use now. A healthy one has no row, and the rows of a dead hub are not
    # read, because the next hub begins with healthy providers.
    """
    CREATE TABLE health (
        owner TEXT NOT NULL,
        provider TEXT NOT NULL,               -- its name in that hub
        account INTEGER NOT NULL,             -- 0 for a provider that works in the hub's own process
        state TEXT NOT NULL CHECK (state IN ('cooling', 'out')),
        error TEXT NOT NULL,                  -- the class of the error that led to it
        until REAL,                           -- NULL if it does not depend on the time
        changed_at REAL NOT NULL,
        PRIMARY KEY (owner, provider)
    ) WITHOUT ROWID
    """,
    # How long jobs take, as hubs have learned it.
    """
    CREATE TABLE job_times (
        account INTEGER NOT NULL,
        kind TEXT NOT NULL,
        learned TEXT NOT NULL,                -- JSON with a version of its own
        updated_at REAL NOT NULL,
        PRIMARY KEY (account, kind)
    ) WITHOUT ROWID
    """,
    # The slots that hubs hold of the limit max_in_flight of an account.
    """
    CREATE TABLE leased_slots (
        owner TEXT NOT NULL,
        lease INTEGER NOT NULL,               -- a hub has one for each provider
        account INTEGER NOT NULL,
        slots INTEGER NOT NULL,
        needed INTEGER NOT NULL,              -- how many it could use
        waiting_since REAL,                   -- NULL if it has as many
        asked_at REAL NOT NULL,
        PRIMARY KEY (owner, lease)
    ) WITHOUT ROWID
    """,
    # When a hub last learned that the service does not refuse an account any more.
    "CREATE TABLE revivals (account INTEGER PRIMARY KEY, revived_at REAL NOT NULL)",
    # The jobs that hubs were granted of the rate of an account.
    """
    CREATE TABLE rate_grants (
        owner TEXT NOT NULL,
        number INTEGER NOT NULL,              -- the hub's own
        account INTEGER NOT NULL,
        jobs INTEGER NOT NULL,
        counted_at REAL NOT NULL,             -- when the last of them is created at most
        forget_at REAL NOT NULL,
        PRIMARY KEY (owner, number)
    ) WITHOUT ROWID
    """,
)
"""The statements that make a new journal, of the newest version; a file also gets ``FILE_INDEXES``."""

# A journal in memory has the jobs of an hour, which are read through a few times in it. There these two cost
# each solve more than all other indexes together: 3 % of the CPU of a solve, without HTTP.
FILE_INDEXES: Sequence[str] = (
    "CREATE INDEX jobs_open ON jobs (state, owner) WHERE state IN ('intent', 'created')",
    """
    CREATE INDEX jobs_ended ON jobs (updated_at)
        WHERE state IN ('solved', 'failed', 'expired', 'not_sent', 'refused')
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
    # See TABLES.
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

_SIXTH = (
    # The caller's own name of the task, such as the name of its file.
    "ALTER TABLE jobs ADD COLUMN label TEXT",
)

_SEVENTH = (
    # The providers that hubs do not use now.
    """
    CREATE TABLE health (
        owner TEXT NOT NULL,
        provider TEXT NOT NULL,               -- its name in that hub
        account INTEGER NOT NULL,             -- 0 for a provider that works in the hub's own process
        state TEXT NOT NULL CHECK (state IN ('cooling', 'out')),
        error TEXT NOT NULL,                  -- the class of the error that led to it
        until REAL,                           -- NULL if it does not depend on the time
        changed_at REAL NOT NULL,
        PRIMARY KEY (owner, provider)
    ) WITHOUT ROWID
    """,
)

_EIGHTH = (
    # How long jobs take, as hubs have learned it.
    """
    CREATE TABLE job_times (
        account INTEGER NOT NULL,
        kind TEXT NOT NULL,
        learned TEXT NOT NULL,                -- JSON with a version of its own
        updated_at REAL NOT NULL,
        PRIMARY KEY (account, kind)
    ) WITHOUT ROWID
    """,
)

_NINTH = (
    # The slots that hubs hold of the limit max_in_flight of an account.
    """
    CREATE TABLE leased_slots (
        owner TEXT NOT NULL,
        lease INTEGER NOT NULL,               -- a hub has one for each provider
        account INTEGER NOT NULL,
        slots INTEGER NOT NULL,
        needed INTEGER NOT NULL,              -- how many it could use
        waiting_since REAL,                   -- NULL if it has as many
        asked_at REAL NOT NULL,
        PRIMARY KEY (owner, lease)
    ) WITHOUT ROWID
    """,
    # When a hub last learned that the service does not refuse an account any more.
    "CREATE TABLE revivals (account INTEGER PRIMARY KEY, revived_at REAL NOT NULL)",
    # The jobs that hubs were granted of the rate of an account.
    """
    CREATE TABLE rate_grants (
        owner TEXT NOT NULL,
        number INTEGER NOT NULL,              -- the hub's own
        account INTEGER NOT NULL,
        jobs INTEGER NOT NULL,
        counted_at REAL NOT NULL,             -- when the last of them is created at most
        forget_at REAL NOT NULL,
        PRIMARY KEY (owner, number)
    ) WITHOUT ROWID
    """,
)

MIGRATIONS: Sequence[Sequence[str]] = (_SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH, _SEVENTH, _EIGHTH, _NINTH)
"""The statements that make each version from the one before it, the second one first."""

VERSION = len(MIGRATIONS) + 1


def migrate(connection: sqlite3.Connection, name: str, *, in_memory: bool = False) -> None:
    """Make the tables of an open journal, or bring older ones to the newest version.

    All is one transaction, so that the file always has one whole version. Raises JournalError, with the
    ``name`` of the file, if it has a newer version or is no journal.
    """
    with connection:
        # The lock is taken before the version is read, because another process may open the file at the same
        # time.
        connection.execute("BEGIN IMMEDIATE")
        version = _version(connection, name)
        if version == VERSION:
            return
        # A new file gets its tables at once. The migrations take three times as long, because each ALTER
        # TABLE reads the whole schema again, and every hub with a journal in memory would wait for them.
        new = TABLES if in_memory else (*TABLES, *FILE_INDEXES)
        statements: Iterable[str] = chain.from_iterable(MIGRATIONS[version - 1 :]) if version else new
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: sqlite3.Connection, name: str) -> int:
    """Return the version of the tables; 0 for a new file."""
    application, version, has_tables = connection.execute(
        """
        SELECT application_id, user_version, EXISTS (SELECT 1 FROM sqlite_master)
        FROM pragma_application_id, pragma_user_version
        """
    ).fetchone()
    if (application or version or has_tables) and (application != _APPLICATION or version < 1):
        raise JournalError(
            f"{name}: it is a database of something else, not a journal; no job was created. "
            "Name another file for the journal"
        )
    if version > VERSION:
        raise JournalError(
            f"{name}: it is of version {version}, written by a newer captchahub, and this one knows versions "
            f"up to {VERSION}; no job was created. Update captchahub, or name another file for the journal"
        )
    return int(version)
