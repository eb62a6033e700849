"""A journal of an older version is migrated whole or not at all, even if the process is killed meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import shutil
import signal
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.jobs_table import newest_jobs
from captchahub._journal.reservations import check_budgets
from captchahub._journal.rows import JobFilter, NewJob
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._journal.sqlite_schema import FILE_INDEXES, MIGRATIONS, TABLES, VERSION, migrate
from captchahub._policy.accounting import from_units
from captchahub._policy.budgets import BudgetScope
from captchahub.errors import BudgetExceeded, JournalError
from captchahub.jobs import JobState
from captchahub.settings import Budget, Period

KILLS = int(os.environ.get("CAPTCHAHUB_KILLS", "20"))
JOBS = 300

# The statements that made a file in the first version of captchahub.
VERSION_1 = (
    "PRAGMA application_id = 0x63487562",
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

processes = multiprocessing.get_context("forkserver")
# This module is loaded once for all the children, not once for each.
processes.set_forkserver_preload([__name__])


def connected(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, isolation_level=None))


def version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def tables_of(connection: sqlite3.Connection) -> set[str]:
    """Return the SQL of the tables and indexes, columns in their order, without comments and blanks."""
    found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {re.sub(r"--[^\n]*|\s", "", sql) for (sql,) in found}


def execute(connection: sqlite3.Connection, statements: Iterable[str], version: int) -> None:
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version}")


def migrate_to(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables of version 1 to a later version, as the captchahub of that version did."""
    for number, statements in enumerate(MIGRATIONS[: version - 1], start=2):
        execute(connection, statements, number)


def tables_of_version(version: int) -> set[str]:
    """Return the tables of a file that version 1 made, brought to a version; 0 has none."""
    with connected(Path(":memory:")) as connection:
        if version:
            execute(connection, VERSION_1, 1)
            migrate_to(connection, version)
        return tables_of(connection)


def fill_version_1(connection: sqlite3.Connection) -> None:
    """Insert jobs and their costs as version 1 wrote them."""
    connection.execute("BEGIN")
    connection.executemany(
        """
        INSERT INTO jobs (id, submission, state, provider, kind, fingerprint, options, job_id, price,
            charge, answer, owner, is_shared, ordered_at, updated_at)
        VALUES (?, 's', 'solved', 'omo', 'image-to-text', hex(randomblob(32)), '{"length": 5}', '7', 1000,
            1000, '{"text": "x7kp2"}', 'me', 1, 900.0, 900.0)
        """,
        [(number,) for number in range(1, JOBS + 1)],
    )
    charge = JOBS * 1000
    for span, slot in ((900, 900), (86_400, 0)):
        ledger = "INSERT INTO ledger VALUES (?, ?, 'omo', 'image-to-text', '', ?, ?)"
        connection.execute(ledger, (span, slot, charge, JOBS))
    connection.execute("COMMIT")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal of version 1 with some jobs in it."""
    path = tmp_path / "old.db"
    with connected(path) as connection:
        execute(connection, VERSION_1, 1)
        fill_version_1(connection)
    return path


class TestMigrations:
    def test_a_new_file_is_of_the_newest_version(self, tmp_path: Path) -> None:
        path = tmp_path / "new.db"
        SqliteDatabase(path).close()
        with connected(path) as connection:
            assert version_of(connection) == VERSION
            assert tables_of(connection) == tables_of_version(VERSION)

    def test_a_new_file_has_the_tables_of_a_migrated_one(self) -> None:
        with connected(Path(":memory:")) as connection:
            execute(connection, (*TABLES, *FILE_INDEXES), VERSION)
            assert tables_of(connection) == tables_of_version(VERSION)
            migrate(connection, "newest")
            assert tables_of(connection) == tables_of_version(VERSION)

    @pytest.mark.parametrize("version", range(1, VERSION + 1))
    def test_a_file_of_every_older_version_is_migrated_with_all_that_is_in_it(
        self, old: Path, version: int
    ) -> None:
        with connected(old) as connection:
            migrate_to(connection, version)
            assert version_of(connection) == version
        with closing(SqliteDatabase(old)) as store:
            (jobs,) = store.transact([partial(newest_jobs, wanted=JobFilter(limit=JOBS + 1))])
        assert not isinstance(jobs, Exception)
        assert [job.id for job in jobs] == list(range(JOBS, 0, -1))
        assert {(job.state, job.job_id, job.is_by_hand) for job in jobs} == {(JobState.SOLVED, 7, False)}
        # Older versions wrote an answer only when a caller had received it.
        assert all(job.is_given for job in jobs)
        assert {job.account for job in jobs} == {None}
        with connected(old) as connection:
            assert tables_of(connection) == tables_of_version(VERSION)

    @pytest.mark.parametrize("version", range(1, VERSION + 1))
    def test_what_was_spent_counts_for_each_budget_that_it_may_belong_to(
        self, old: Path, version: int
    ) -> None:
        with connected(old) as connection:
            migrate_to(connection, version)
        price = from_units(1000)
        theirs = OwnAccounts({"omo": (7,)}, frozenset({7}))
        elsewhere = OwnAccounts({"other": (7,)}, frozenset({7}))
        with closing(SqliteDatabase(old)) as store:
            for own, provider, whose in (
                (theirs, "omo", "omo"),
                (theirs, "omo", None),
                (elsewhere, "other", None),
            ):
                budget = BudgetScope("it", whose, Budget(price * JOBS, Period.TOTAL))
                job = NewJob("s", provider, "image-to-text", "f", {}, price, None, None, is_shared=True)
                work = partial(check_budgets, spent={}, job=job, scopes=[budget], now=1000.0, own=own)
                (refused,) = store.transact([work])
                assert isinstance(refused, BudgetExceeded)
                assert refused.spent == price * JOBS
            job = NewJob("s", "other", "image-to-text", "f", {}, price, None, None, is_shared=True)
            limits = [BudgetScope("other", "other", Budget(price, Period.TOTAL))]
            work = partial(check_budgets, spent={}, job=job, scopes=limits, now=1000.0, own=elsewhere)
            assert store.transact([work]) == [None]

    def test_each_file_hashes_tokens_with_a_key_of_its_own(self, tmp_path: Path) -> None:
        keys = set[bytes]()
        for name in ("one.db", "two.db"):
            SqliteDatabase(tmp_path / name).close()
            with connected(tmp_path / name) as connection:
                keys |= {key for (key,) in connection.execute("SELECT key FROM mark_key")}
        assert sorted(map(len, keys)) == [32, 32]

    def test_a_newer_file_is_not_changed(self, tmp_path: Path) -> None:
        path = tmp_path / "newer.db"
        SqliteDatabase(path).close()
        with connected(path) as connection:
            connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        with pytest.raises(JournalError) as raised:
            SqliteDatabase(path)
        assert str(raised.value) == (
            f"journal {path}: it is of version {VERSION + 1}, written by a newer captchahub, and this one "
            f"knows versions up to {VERSION}; no job was created. Update captchahub, or name another file "
            "for the journal"
        )
        with connected(path) as connection:
            assert version_of(connection) == VERSION + 1

    @pytest.mark.parametrize("version", [0, 1, 2])
    def test_the_database_of_another_program_is_not_changed(self, tmp_path: Path, version: int) -> None:
        path = tmp_path / "accounts.db"
        with connected(path) as connection:
            connection.execute("CREATE TABLE accounts (name TEXT)")
            connection.execute(f"PRAGMA user_version = {version}")
        before = path.read_bytes()
        with pytest.raises(JournalError, match="it is a database of something else, not a journal"):
            SqliteDatabase(path)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("version", [0, -1])
    def test_a_file_of_an_impossible_version_is_refused(self, tmp_path: Path, version: int) -> None:
        path = tmp_path / "odd.db"
        SqliteDatabase(path).close()
        with connected(path) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(JournalError, match="it is a database of something else, not a journal"):
            SqliteDatabase(path)

    def test_a_migration_that_fails_changes_nothing(self, old: Path) -> None:
        with connected(old) as connection:
            # The first statements to version 2 work, and a later one does not.
            connection.execute("CREATE INDEX jobs_shared ON jobs (kind)")
            before = tables_of(connection)
            with pytest.raises(sqlite3.OperationalError, match="jobs_shared already exists"):
                migrate(connection, "old")
            assert (version_of(connection), tables_of(connection)) == (1, before)


def migrate_counting(path: Path, last: int | None = None) -> int:
    """Return the number of operations of SQLite's virtual machine; die by SIGKILL after ``last``."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        if counted == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with connected(path) as connection:
        connection.set_progress_handler(count, 1)
        migrate(connection, "old")
    return counted


def migrate_announcing_commit(path: Path, commits: Connection) -> None:
    """Send a message just before the commit."""
    with connected(path) as connection:
        connection.set_trace_callback(lambda sql: commits.send(sql) if sql == "COMMIT" else None)
        migrate(connection, "old")


class TestKilledInTheMiddle:
    def copies(self, old: Path) -> Iterator[Path]:
        for number in range(KILLS):
            copy = old.with_name(f"{number}.db")
            shutil.copy(old, copy)
            yield copy

    def check(self, path: Path, jobs: int = JOBS) -> int:
        """Check that the file has one whole version, which is returned, and the newest once it was opened."""
        with connected(path) as connection:
            version = version_of(connection)
            assert tables_of(connection) == tables_of_version(version)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with closing(SqliteDatabase(path)) as store:
            (found,) = store.transact([partial(newest_jobs, wanted=JobFilter(limit=JOBS + 1))])
        assert not isinstance(found, Exception)
        assert len(found) == jobs
        return version

    def kill(self, path: Path, operation: int) -> None:
        child = processes.Process(target=migrate_counting, args=(path, operation))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL

    def test_of_a_migration(self, old: Path, tmp_path: Path) -> None:
        whole = tmp_path / "whole.db"
        shutil.copy(old, whole)
        operations = migrate_counting(whole)
        versions = list[int]()
        for number, path in enumerate(self.copies(old)):
            self.kill(path, 1 + operations * number // KILLS)
            versions.append(self.check(path))
        assert versions[0] == 1
        assert versions == sorted(versions)

    def test_of_the_making_of_a_new_file(self, tmp_path: Path) -> None:
        operations = migrate_counting(tmp_path / "whole.db")
        versions = list[int]()
        for number in range(KILLS):
            path = tmp_path / f"{number}.db"
            self.kill(path, 1 + operations * number // KILLS)
            versions.append(self.check(path, jobs=0))
        assert versions == sorted(versions)

    def test_of_a_commit(self, old: Path) -> None:
        chance = random.Random(4)
        for path in self.copies(old):
            commits, child_end = processes.Pipe(duplex=False)
            child = processes.Process(target=migrate_announcing_commit, args=(path, child_end))
            child.start()
            assert commits.recv() == "COMMIT"
            for _ in range(chance.randrange(30_000)):
                pass
            child.kill()
            child.join()
            commits.close()
            child_end.close()
            assert self.check(path) in range(1, VERSION + 1)
