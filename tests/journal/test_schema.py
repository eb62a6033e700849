"""A journal of any older version is brought forward whole, or not at all, also if the power fails."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.jobs_table import newest_jobs
from captchahub._journal.journal import check_budgets
from captchahub._journal.rows import NewJob
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._journal.sqlite_schema import MIGRATIONS, VERSION, migrate
from captchahub._policy.accounting import from_units
from captchahub._policy.budgets import BudgetScope
from captchahub.errors import BudgetExceeded, JournalError
from captchahub.jobs import JobState
from captchahub.settings import Budget, Period

KILLS = int(os.environ.get("CAPTCHAHUB_KILLS", "20"))
JOBS = 300

processes = multiprocessing.get_context("forkserver")
# This module is loaded once for all the children, not once for each.
processes.set_forkserver_preload([__name__])


def connected(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, isolation_level=None))


def version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def tables_of(connection: sqlite3.Connection) -> set[str]:
    return {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}


def tables_of_version(version: int) -> set[str]:
    with connected(Path(":memory:")) as connection:
        for statements in MIGRATIONS[:version]:
            for statement in statements:
                connection.execute(statement)
        return tables_of(connection)


def fill_version_1(connection: sqlite3.Connection) -> None:
    """What the first version would have written of its jobs."""
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
        migrate(connection, "old", upto=1)
        fill_version_1(connection)
    return path


class TestMigrations:
    def test_a_new_file_is_of_the_newest_version(self, tmp_path: Path) -> None:
        path = tmp_path / "new.db"
        SqliteDatabase(path).close()
        with connected(path) as connection:
            assert version_of(connection) == VERSION
            assert tables_of(connection) == tables_of_version(VERSION)

    @pytest.mark.parametrize("version", range(1, VERSION + 1))
    def test_a_file_of_every_older_version_is_brought_forward_with_all_that_is_in_it(
        self, old: Path, version: int
    ) -> None:
        with connected(old) as connection:
            migrate(connection, "old", upto=version)
            assert version_of(connection) == version
        with closing(SqliteDatabase(old)) as store:
            (jobs,) = store.transact([partial(newest_jobs, limit=JOBS + 1)])
        assert not isinstance(jobs, Exception)
        assert [job.id for job in jobs] == list(range(JOBS, 0, -1))
        assert {(job.state, job.job_id, job.is_by_hand) for job in jobs} == {(JobState.SOLVED, 7, False)}
        # Whoever wrote them had given their answers.
        assert all(job.is_given for job in jobs)
        assert {job.account for job in jobs} == {None}
        with connected(old) as connection:
            assert tables_of(connection) == tables_of_version(VERSION)

    @pytest.mark.parametrize("version", range(1, VERSION + 1))
    def test_what_was_spent_counts_for_every_budget_that_may_be_meant(self, old: Path, version: int) -> None:
        with connected(old) as connection:
            migrate(connection, "old", upto=version)
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
                order = NewJob("s", provider, "image-to-text", "f", {}, price, None, None, is_shared=True)
                work = partial(check_budgets, job=order, scopes=[budget], now=1000.0, own=own)
                (refused,) = store.transact([work])
                assert isinstance(refused, BudgetExceeded)
                assert refused.spent == price * JOBS
            order = NewJob("s", "other", "image-to-text", "f", {}, price, None, None, is_shared=True)
            limits = [BudgetScope("other", "other", Budget(price, Period.TOTAL))]
            work = partial(check_budgets, job=order, scopes=limits, now=1000.0, own=elsewhere)
            assert store.transact([work]) == [None]

    def test_each_file_hashes_tokens_with_a_key_of_its_own(self, tmp_path: Path) -> None:
        keys = set[bytes]()
        for name in ("one.db", "two.db"):
            SqliteDatabase(tmp_path / name).close()
            with connected(tmp_path / name) as connection:
                keys |= {key for (key,) in connection.execute("SELECT key FROM mark_key")}
        assert sorted(map(len, keys)) == [32, 32]

    def test_a_newer_file_is_left_alone(self, tmp_path: Path) -> None:
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
    def test_the_database_of_another_program_is_left_alone(self, tmp_path: Path, version: int) -> None:
        path = tmp_path / "accounts.db"
        with connected(path) as connection:
            connection.execute("CREATE TABLE accounts (name TEXT)")
            connection.execute(f"PRAGMA user_version = {version}")
        before = path.read_bytes()
        with pytest.raises(JournalError, match="it is a database of something else, not a journal"):
            SqliteDatabase(path)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("version", [0, -1])
    def test_a_file_of_an_impossible_version_is_left_alone(self, tmp_path: Path, version: int) -> None:
        path = tmp_path / "odd.db"
        SqliteDatabase(path).close()
        with connected(path) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(JournalError, match="it is a database of something else, not a journal"):
            SqliteDatabase(path)

    def test_a_step_that_fails_changes_nothing(self, old: Path) -> None:
        with connected(old) as connection:
            # One statement of the step to version 2 works, and a later one does not.
            connection.execute("CREATE INDEX jobs_shared ON jobs (kind)")
            before = tables_of(connection)
            with pytest.raises(sqlite3.OperationalError, match="jobs_shared already exists"):
                migrate(connection, "old")
            assert (version_of(connection), tables_of(connection)) == (1, before)


def migrate_step_by_step(path: Path, last: int | None = None) -> int:
    """Count the operations of SQLite's machine, and die by SIGKILL after the last one."""
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


def migrate_and_tell(path: Path, told: Connection) -> None:
    """Say when the last moment has come: the commit of the step."""
    with connected(path) as connection:
        connection.set_trace_callback(lambda sql: told.send(sql) if sql == "COMMIT" else None)
        migrate(connection, "old")


class TestKilledInTheMiddle:
    def copies(self, old: Path) -> Iterator[Path]:
        for number in range(KILLS):
            copy = old.with_name(f"{number}.db")
            shutil.copy(old, copy)
            yield copy

    def check(self, path: Path, jobs: int = JOBS) -> int:
        """The file is of one whole version, which is given, and of the newest once it was opened."""
        with connected(path) as connection:
            version = version_of(connection)
            assert tables_of(connection) == tables_of_version(version)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with closing(SqliteDatabase(path)) as store:
            (found,) = store.transact([partial(newest_jobs, limit=JOBS + 1)])
        assert not isinstance(found, Exception)
        assert len(found) == jobs
        return version

    def kill(self, path: Path, operation: int) -> None:
        child = processes.Process(target=migrate_step_by_step, args=(path, operation))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL

    def test_of_a_step(self, old: Path, tmp_path: Path) -> None:
        whole = tmp_path / "whole.db"
        shutil.copy(old, whole)
        operations = migrate_step_by_step(whole)
        versions = list[int]()
        for number, path in enumerate(self.copies(old)):
            self.kill(path, 1 + operations * number // KILLS)
            versions.append(self.check(path))
        assert versions[0] == 1
        assert versions == sorted(versions)

    def test_of_the_making_of_a_new_file(self, tmp_path: Path) -> None:
        operations = migrate_step_by_step(tmp_path / "whole.db")
        versions = list[int]()
        for number in range(KILLS):
            path = tmp_path / f"{number}.db"
            self.kill(path, 1 + operations * number // KILLS)
            versions.append(self.check(path, jobs=0))
        assert versions == sorted(versions)

    def test_of_a_commit(self, old: Path) -> None:
        chance = random.Random(4)
        for path in self.copies(old):
            told, child_tells = processes.Pipe(duplex=False)
            child = processes.Process(target=migrate_and_tell, args=(path, child_tells))
            child.start()
            assert told.recv() == "COMMIT"
            for _ in range(chance.randrange(30_000)):
                pass
            child.kill()
            child.join()
            told.close()
            child_tells.close()
            assert self.check(path) in range(1, VERSION + 1)
