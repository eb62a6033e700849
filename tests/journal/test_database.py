"""The journal's file: works in groups, and the errors if the disk, the file or another process fails."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub._journal.jobs_table import newest_jobs, settle
from captchahub._journal.liveness import heartbeat
from captchahub._journal.rows import JobFilter
from captchahub._journal.sqlite import SqliteDatabase
from captchahub.errors import JournalError
from captchahub.jobs import JobEntry as Entry
from captchahub.jobs import JobState
from tests.journal.ledger import failing, mark_created, reserve_one, spent

KILLS = int(os.environ.get("CAPTCHAHUB_KILLS", "20"))
PRICE = Decimal("0.5")
PAGE = 4096

processes = multiprocessing.get_context("forkserver")
# This module is loaded once for all the children, not once for each.
processes.set_forkserver_preload([__name__])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteDatabase]:
    with closing(SqliteDatabase(path)) as store:
        yield store


def connected(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, isolation_level=None))


def jobs_in(store: SqliteDatabase) -> list[Entry]:
    (found,) = store.transact([partial(newest_jobs, wanted=JobFilter(limit=100_000))])
    assert not isinstance(found, Exception)
    return found


def why(opened: Callable[[], object]) -> str:
    with pytest.raises(JournalError) as raised:
        opened()
    return str(raised.value)


class TestTransactions:
    def test_works_come_back_in_order(self, store: SqliteDatabase) -> None:
        assert store.transact([reserve_one, reserve_one, reserve_one]) == [1, 2, 3]
        assert store.transact(list[Callable[[sqlite3.Connection], int]]()) == []

    def test_a_work_that_raises_leaves_nothing_and_spoils_no_other(self, store: SqliteDatabase) -> None:
        first, error, last = store.transact([reserve_one, failing, reserve_one])
        assert isinstance(error, LookupError)
        assert [job.id for job in jobs_in(store)] == [last, first]

    def test_a_work_that_breaks_a_constraint_of_the_tables_spoils_no_other(
        self, store: SqliteDatabase
    ) -> None:
        senseless = "UPDATE jobs SET state = 'lost'"
        done = store.transact([reserve_one, lambda connection: connection.execute(senseless).rowcount])
        assert done[0] == 1
        assert isinstance(done[1], JournalError)
        assert "CHECK constraint failed" in str(done[1])
        assert [job.state for job in jobs_in(store)] == [JobState.INTENT]

    def test_an_interrupt_undoes_them_all(self, store: SqliteDatabase) -> None:
        def interrupted(_connection: sqlite3.Connection) -> int:
            raise KeyboardInterrupt

        works: list[Callable[[sqlite3.Connection], int]] = [reserve_one, interrupted]
        with pytest.raises(KeyboardInterrupt):
            store.transact(works)
        assert jobs_in(store) == []

    def test_what_was_committed_is_seen_by_others_at_once(self, store: SqliteDatabase, path: Path) -> None:
        store.transact([reserve_one])
        with closing(SqliteDatabase(path)) as other:
            assert len(jobs_in(other)) == 1

    def test_a_journal_in_memory_is_one_of_its_own(self) -> None:
        with closing(SqliteDatabase(None)) as one, closing(SqliteDatabase(None)) as other:
            assert one.transact([reserve_one]) == [1]
            assert jobs_in(other) == []

    def test_a_closed_one_writes_nothing(self, store: SqliteDatabase) -> None:
        store.close()
        store.close()
        (error,) = store.transact([reserve_one])
        assert isinstance(error, JournalError)
        assert "closed" in str(error)


class TestReading:
    def test_finds_what_was_committed(self, store: SqliteDatabase) -> None:
        store.transact([reserve_one])
        assert [job.id for job in store.read(newest_jobs)] == [1]

    def test_needs_no_lock_that_a_writer_holds(self, path: Path) -> None:
        with closing(SqliteDatabase(path, busy_timeout=0.01)) as store:
            store.transact([reserve_one])
            with connected(path) as other:
                other.execute("BEGIN IMMEDIATE")
                assert isinstance(store.transact([reserve_one])[0], JournalError)
                assert len(store.read(newest_jobs)) == 1

    def test_writes_nothing(self, store: SqliteDatabase) -> None:
        store.read(reserve_one)
        assert jobs_in(store) == []

    def test_raises_what_the_work_raises(self, store: SqliteDatabase) -> None:
        with pytest.raises(LookupError, match="no such thing"):
            store.read(failing)
        assert store.transact([reserve_one]) == [1]

    def test_that_fails_says_that_nothing_was_read(self, store: SqliteDatabase, path: Path) -> None:
        def senseless(connection: sqlite3.Connection) -> object:
            return connection.execute("SELECT * FROM nowhere")

        assert "no such table: nowhere; it was not read. " in why(lambda: store.read(senseless))
        path.rename(path.with_name("elsewhere.db"))
        assert "moved, deleted or replaced while it was in use; it was not read. " in why(
            lambda: store.read(newest_jobs)
        )
        store.close()
        assert "it is closed; it was not read. " in why(lambda: store.read(newest_jobs))


class TestTheFile:
    def test_survives_being_closed(self, path: Path) -> None:
        with closing(SqliteDatabase(path)) as store:
            store.transact([reserve_one])
        with closing(SqliteDatabase(path)) as store:
            assert len(jobs_in(store)) == 1

    def test_is_written_ahead_and_to_the_disk(self, store: SqliteDatabase) -> None:
        def pragmas(connection: sqlite3.Connection) -> list[object]:
            names = "journal_mode", "synchronous"
            return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        assert store.transact([pragmas]) == [["wal", 2]]

    def test_can_have_a_name_that_means_something_else_to_sqlite(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for path in (Path(":memory:"), Path("file:jobs?mode=memory")):
            with closing(SqliteDatabase(path)) as store:
                store.transact([reserve_one])
            assert path.stat().st_size > 0

    def test_is_not_looked_for_in_a_folder_that_is_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "there" / "jobs.db"
        assert why(lambda: SqliteDatabase(path)) == (
            f"journal {path}: its folder {path.parent} does not exist; no job was created. Make the folder"
        )
        assert not path.parent.exists()

    def test_is_not_a_folder(self, tmp_path: Path) -> None:
        assert why(lambda: SqliteDatabase(tmp_path)) == (
            f"journal {tmp_path}: it is not a file; no job was created. "
            "Name a file for the journal, not a folder"
        )

    @pytest.mark.parametrize("text", ["hi", "jobs: none\n" * 1000])
    def test_is_not_a_text(self, path: Path, text: str) -> None:
        path.write_text(text)
        assert why(lambda: SqliteDatabase(path)) == (
            f"journal {path}: it is not a journal (file is not a database); no job was created. "
            "Name another file for the journal"
        )
        assert path.read_text() == text

    def test_can_be_an_empty_one(self, path: Path) -> None:
        path.touch()
        SqliteDatabase(path).close()

    def test_can_not_be_in_a_folder_that_is_read_only(self) -> None:
        folder = Path(tempfile.mkdtemp())
        try:
            folder.chmod(0o555)
            message = in_child(open_without_rights, folder / "jobs.db")
        finally:
            shutil.rmtree(folder)
        assert message == (
            f"journal {folder / 'jobs.db'}: its folder {folder} can't be written to; no job was created. "
            "Allow this program to write there, because a journal consists of several files"
        )

    def test_can_not_be_one_that_may_only_be_read(self) -> None:
        folder = Path(tempfile.mkdtemp())
        path = folder / "jobs.db"
        try:
            SqliteDatabase(path).close()
            folder.chmod(0o777)
            path.chmod(0o444)
            message = in_child(open_without_rights, path)
        finally:
            shutil.rmtree(folder)
        assert message == (
            f"journal {path}: it can't be opened for writing; no job was created. "
            "Allow this program to write to the file and its folder"
        )

    def test_can_not_have_a_senseless_name(self) -> None:
        assert "it can't be opened" in why(lambda: SqliteDatabase(Path("a\0b")))


def in_child(work: Callable[[Path, Connection], None], path: Path) -> Any:
    """Return what a function sends from another process."""
    receiver, sender = processes.Pipe(duplex=False)
    child = processes.Process(target=work, args=(path, sender))
    child.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        child.join()
        receiver.close()


def open_without_rights(path: Path, parent: Connection) -> None:
    if os.geteuid() == 0:  # root may read and write everything
        os.setuid(65534)
    parent.send(why(lambda: SqliteDatabase(path)))


class TestAFileThatIsNotThereAnyMore:
    @pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
    def test_is_written_no_more(self, store: SqliteDatabase, path: Path, is_replaced: bool) -> None:
        store.transact([reserve_one])
        path.rename(path.with_name("elsewhere.db"))
        if is_replaced:
            SqliteDatabase(path).close()
        (error,) = store.transact([reserve_one])
        assert isinstance(error, JournalError)
        assert "moved, deleted or replaced while it was in use; it was not written" in str(error)
        assert "Put it back, or make a new hub" in str(error)

    def test_is_written_again_once_it_is_put_back(self, store: SqliteDatabase, path: Path) -> None:
        path.rename(path.with_name("elsewhere.db"))
        assert isinstance(store.transact([reserve_one])[0], JournalError)
        path.with_name("elsewhere.db").rename(path)
        assert store.transact([reserve_one]) == [1]

    def test_is_the_same_one_if_the_working_directory_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with closing(SqliteDatabase(Path("jobs.db"))) as store:
            monkeypatch.chdir("/")
            assert store.transact([reserve_one]) == [1]


def order_in_a_child(store: SqliteDatabase, is_written: Any, may_go_on: Any) -> None:
    assert store.transact([reserve_one]) == [2]
    is_written.set()
    assert may_go_on.wait(30)
    assert store.transact([reserve_one]) == [4]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
class TestAFork:
    def test_loses_nothing_that_parent_or_child_commit(self, store: SqliteDatabase, path: Path) -> None:
        """SQLite takes a parent's locks for those of its child, and could lose what one of them wrote."""
        fork = multiprocessing.get_context("fork")
        is_written, may_go_on = fork.Event(), fork.Event()
        assert store.transact([reserve_one]) == [1]
        child = fork.Process(target=order_in_a_child, args=(store, is_written, may_go_on))
        child.start()
        assert is_written.wait(30)
        assert store.transact([reserve_one]) == [3]
        store.close()
        may_go_on.set()
        child.join(30)
        assert child.exitcode == 0
        with closing(SqliteDatabase(path)) as later:
            assert len(jobs_in(later)) == 4

    def test_does_not_open_what_was_closed(self, store: SqliteDatabase) -> None:
        fork = multiprocessing.get_context("fork")
        store.close()
        child = fork.Process(target=store.transact, args=([reserve_one],))
        child.start()
        child.join(30)
        (error,) = store.transact([reserve_one])
        assert "it is closed" in str(error)

    def test_waits_for_what_is_being_written(self, store: SqliteDatabase) -> None:
        fork, begun = multiprocessing.get_context("fork"), threading.Event()
        child = fork.Process(target=store.transact, args=([reserve_one],))

        def write_slowly(connection: sqlite3.Connection) -> int:
            begun.set()
            connection.execute(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500000) "
                "SELECT max(i) FROM n"
            ).fetchone()
            return reserve_one(connection)

        writing = threading.Thread(target=store.transact, args=([write_slowly],))
        writing.start()
        assert begun.wait(30)
        child.start()
        writing.join(30)
        child.join(30)
        assert len(jobs_in(store)) == 2

    def test_waits_for_what_is_being_written_in_memory(self) -> None:
        """A child would wait for ever for locks within SQLite that a thread of its parent held."""
        begun, is_written = threading.Event(), threading.Event()

        def write_slowly(connection: sqlite3.Connection) -> int:
            begun.set()
            connection.execute(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500000) "
                "SELECT max(i) FROM n"
            ).fetchone()
            written = reserve_one(connection)
            is_written.set()
            return written

        with closing(SqliteDatabase(None)) as store:
            writing = threading.Thread(target=store.transact, args=([write_slowly],))
            writing.start()
            assert begun.wait(30)
            child = os.fork()
            if child == 0:
                os._exit(0 if is_written.is_set() else 1)
            writing.join(30)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert len(jobs_in(store)) == 1


class TestALockedFile:
    def test_is_waited_for_as_long_as_was_said(self, path: Path) -> None:
        SqliteDatabase(path).close()
        with connected(path) as other:
            other.execute("BEGIN IMMEDIATE")
            assert why(lambda: SqliteDatabase(path, busy_timeout=0.01)) == (
                f"journal {path}: another process has kept it locked for 0.01 s; no job was created. "
                "See which program has it open, such as a backup or an SQLite shell"
            )

    def test_fails_the_works_and_serves_again_once_it_is_free(self, path: Path) -> None:
        with closing(SqliteDatabase(path, busy_timeout=0.01)) as store:
            with connected(path) as other:
                other.execute("BEGIN IMMEDIATE")
                errors = store.transact([reserve_one, reserve_one])
            assert [type(error) for error in errors] == [JournalError] * 2
            assert errors[0] is not errors[1]
            assert "has kept it locked for 0.01 s; it was not written" in str(errors[0])
            assert store.transact([reserve_one]) == [1]

    def test_is_waited_for_even_if_sqlite_does_not_wait(self, path: Path) -> None:
        with connected(path) as new, connected(path) as other, closing(SqliteDatabase(None)) as store:
            new.execute("CREATE TABLE t (a)")
            other.execute("BEGIN IMMEDIATE")
            tries = list[str]()

            def tried(sql: str) -> None:
                tries.append(sql)
                if len(tries) == 3:
                    other.execute("COMMIT")

            new.set_trace_callback(tried)
            store._write_ahead(new)  # pyright: ignore[reportPrivateUsage]  # nothing else can wait just there
            assert tries == ["PRAGMA journal_mode = WAL"] * 3

    def test_may_be_read_by_others_meanwhile(self, store: SqliteDatabase, path: Path) -> None:
        with connected(path) as other:
            other.execute("BEGIN")
            assert other.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
            assert store.transact([reserve_one]) == [1]


class TestAFullDisk:
    def test_fails_what_does_not_fit_and_keeps_what_does(self, store: SqliteDatabase) -> None:
        def fill(connection: sqlite3.Connection) -> None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages + 3}")

        store.transact([fill])
        written = list[int]()
        while not isinstance(done := store.transact([reserve_one])[0], Exception):
            written.append(done)
        assert isinstance(done, JournalError)
        assert str(done).endswith(
            "jobs.db: the disk is full (database or disk is full); it was not written. Make room on it"
        )
        assert [job.id for job in jobs_in(store)] == written[::-1]

    def test_is_reported_if_the_user_may_not_write_more(self, path: Path) -> None:
        written, error = in_child(write_until_limit, path)
        assert error == (
            f"journal {path}: reading or writing it failed (disk I/O error); it was not written. "
            "Check the disk, and the limits of this user for files and space"
        )
        with closing(SqliteDatabase(path)) as store:
            assert [job.id for job in jobs_in(store)] == written[::-1]
            assert store.transact([partial(spent, provider="omo", since=0)]) == [len(written) * PRICE]

    def test_is_found_before_a_new_file_is_used(self, path: Path) -> None:
        error = in_child(open_without_room, path)
        assert "reading or writing it failed (disk I/O error); no job was created" in error


def write_until_limit(path: Path, parent: Connection) -> None:
    with closing(SqliteDatabase(path)) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50 * PAGE, 50 * PAGE))
        written = list[int]()
        while not isinstance(done := store.transact([reserve_one])[0], Exception):
            written.append(done)
        parent.send((written, str(done)))


def open_without_room(path: Path, parent: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (PAGE, PAGE))
    parent.send(why(lambda: SqliteDatabase(path)))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed journal with some hundred jobs."""
    path = tmp_path_factory.mktemp("filled") / "jobs.db"
    with closing(SqliteDatabase(path)) as store:
        store.transact([reserve_one] * 300)
    return path


class TestADamagedFile:
    def test_is_refused(self, path: Path, filled: Path) -> None:
        # A page in the middle, which would not be read for a while.
        damaged = bytearray(filled.read_bytes())
        damaged[-5 * PAGE : -4 * PAGE] = random.Random(4).randbytes(PAGE)
        path.write_bytes(damaged)
        assert why(lambda: SqliteDatabase(path)) == (
            f"journal {path}: it is damaged; no job was created. "
            "Move it away, with its -wal and -shm files, to begin a new one; "
            "look for open jobs at the services"
        )

    def test_is_refused_if_its_end_is_missing(self, path: Path, filled: Path) -> None:
        whole = filled.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert "damaged" in why(lambda: SqliteDatabase(path))

    @given(st.integers(0, 10 * PAGE), st.binary(min_size=1, max_size=200))
    def test_raises_no_other_error_wherever_the_damage_is(
        self, filled: Path, place: int, damage: bytes
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "jobs.db"
            whole = filled.read_bytes()
            path.write_bytes(whole[:place] + damage + whole[place + len(damage) :])
            try:
                store = SqliteDatabase(path)
            except JournalError:
                return
            with closing(store):
                works: list[Callable[[sqlite3.Connection], object]] = [reserve_one, newest_jobs, settle_one]
                for done in store.transact(works):
                    assert isinstance(done, JournalError) or not isinstance(done, Exception)


def settle_one(connection: sqlite3.Connection) -> bool:
    return settle(connection, 7, JobState.NOT_SENT, owner="me", now=2000.0)


def write_jobs(path: Path, parent: Connection, owner: str) -> None:
    """Reserve, create and settle jobs endlessly, and send their ids after each commit."""
    with closing(SqliteDatabase(path)) as store:
        store.transact([partial(heartbeat, owner=owner, until=9e9)])
        reserve_next = partial(reserve_one, owner=owner)
        while True:
            ids = [done for done in store.transact([reserve_next] * 3) if isinstance(done, int)]
            parent.send(dict.fromkeys(ids, "intent"))
            store.transact(
                [partial(mark_created, entry_id=one, job_id=one, owner=owner, now=1001.0) for one in ids]
            )
            parent.send(dict.fromkeys(ids, "created"))
            ends = zip(ids, (JobState.SOLVED, JobState.FAILED, JobState.EXPIRED), strict=True)
            store.transact(
                [
                    partial(settle, entry_id=one, state=end, owner=owner, now=1002.0, cost=Decimal(one))
                    for one, end in ends
                ]
            )
            parent.send(dict.fromkeys(ids, "ended"))


def stage_of(state: JobState) -> int:
    return {JobState.INTENT: 0, JobState.CREATED: 1}.get(state, 2)


class TestSeveralProcesses:
    def test_may_open_a_new_file_at_the_same_time(self, path: Path) -> None:
        start = processes.Barrier(4)
        pipes = [processes.Pipe(duplex=False) for _ in range(4)]
        children = [
            processes.Process(target=open_together, args=(path, sender, start)) for _, sender in pipes
        ]
        for child in children:
            child.start()
        assert [receiver.recv() for receiver, _ in pipes] == ["opened"] * 4
        for child, pipe in zip(children, pipes, strict=True):
            child.join()
            pipe[0].close()
            pipe[1].close()

    def test_what_was_committed_survives_the_kill_of_the_one_that_wrote_it(self, path: Path) -> None:
        chance = random.Random(4)
        committed = dict[int, str]()
        for number in range(KILLS):
            receiver, sender = processes.Pipe(duplex=False)
            child = processes.Process(target=write_jobs, args=(path, sender, f"owner {number}"))
            child.start()
            sender.close()
            for _ in range(chance.randrange(1, 30)):
                committed |= receiver.recv()
            for _ in range(chance.randrange(30_000)):
                pass
            child.kill()
            child.join()
            committed |= messages_left_in(receiver)
            self.check(path, committed)

    def check(self, path: Path, committed: dict[int, str]) -> None:
        with connected(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with closing(SqliteDatabase(path)) as store:
            found = {job.id: job for job in jobs_in(store)}
            for entry_id, state in committed.items():
                assert stage_of(found[entry_id].state) >= ("intent", "created", "ended").index(state)
            (total,) = store.transact([partial(spent, provider=None, since=0)])
            assert total == sum(job.charge for job in found.values())


def messages_left_in(receiver: Connection) -> dict[int, str]:
    """Return what a killed process had sent and the parent had not received."""
    messages = dict[int, str]()
    with receiver:
        while True:
            try:
                messages |= receiver.recv()
            except (EOFError, OSError):
                return messages


def open_together(path: Path, parent: Connection, start: threading.Barrier) -> None:
    start.wait()
    SqliteDatabase(path).close()
    parent.send("opened")
