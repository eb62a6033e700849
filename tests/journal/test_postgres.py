"""The journal in PostgreSQL: works in groups, lost connections, and the errors if it can't be used."""

from __future__ import annotations

import multiprocessing
import os
import re
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql

from captchahub._journal.database import Connection, OutcomeUnknown
from captchahub._journal.jobs_table import newest_jobs
from captchahub._journal.postgres import PostgresDatabase
from captchahub._journal.postgres_schema import MIGRATIONS, TABLES, VERSION
from captchahub._journal.sqlite_schema import TABLES as SQLITE_TABLES
from captchahub.errors import JournalError
from captchahub.provider import Secret
from tests.journal.ledger import failing, reserve_one
from tests.journal.stores import Place, place_of
from tests.journal.unreliable_server import UnreliableServer
from tests.postgres_server import PostgresServer, execute, shared_server, with_options

pytestmark = pytest.mark.skipif(os.name == "nt", reason="its server for tests needs locks of files")

END_CONNECTIONS = sql.SQL(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
)
# As the protocol has it, and not as a part of READ COMMITTED.
COMMIT = b"COMMIT\0"


@pytest.fixture
def place() -> Iterator[Place]:
    with place_of("postgres", None) as place:
        yield place


@pytest.fixture
def store(place: Place) -> Iterator[PostgresDatabase]:
    """A journal whose connections have a name of their own."""
    with closing(opened(place, address=with_options(place.address, application_name=place.schema))) as store:
        yield store


def opened(place: Place, *, address: str | None = None, **options: Any) -> PostgresDatabase:
    return PostgresDatabase(Secret(address or place.address), schema=place.schema, **options)


def ids_in(store: PostgresDatabase) -> list[int]:
    return sorted(job.id for job in store.read(newest_jobs))


def why(step: Callable[[], object]) -> str:
    with pytest.raises(JournalError) as raised:
        step()
    return str(raised.value)


def end_connections(place: Place) -> None:
    execute(place.address, END_CONNECTIONS, place.schema)


@contextmanager
def locked(place: Place, **options: Any) -> Generator[None]:
    """Hold the lock of the journal, as the transaction of another hub does."""
    held, release = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        held.set()
        release.wait(30)

    with closing(opened(place, **options)) as other:
        holding = threading.Thread(target=other.transact, args=([hold],))
        holding.start()
        assert held.wait(30)
        try:
            yield
        finally:
            release.set()
            holding.join()


class TestTransactions:
    def test_works_come_back_in_order(self, store: PostgresDatabase) -> None:
        assert store.transact([reserve_one, reserve_one, reserve_one]) == [1, 2, 3]
        assert store.transact(list[Callable[[Connection], int]]()) == []

    def test_a_work_that_raises_leaves_nothing_and_spoils_no_other(self, store: PostgresDatabase) -> None:
        first, error, last = store.transact([reserve_one, failing, reserve_one])
        assert isinstance(error, LookupError)
        assert ids_in(store) == [first, last]

    def test_a_work_that_breaks_a_constraint_spoils_no_other(self, store: PostgresDatabase) -> None:
        senseless = "UPDATE jobs SET state = 'lost'"
        done, error = store.transact([reserve_one, lambda one: one.execute(senseless).rowcount])
        assert isinstance(error, JournalError)
        assert "violates check constraint" in str(error)
        assert ids_in(store) == [done]

    def test_a_work_that_hides_the_failure_of_a_statement_is_not_taken_for_written(
        self, store: PostgresDatabase
    ) -> None:
        def careless(connection: Connection) -> int:
            entry = reserve_one(connection)
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT * FROM nowhere").fetchone()
            return entry

        (error,) = store.transact([careless])
        assert isinstance(error, JournalError)
        assert ids_in(store) == []

    def test_an_interrupt_undoes_them_all(self, store: PostgresDatabase) -> None:
        def interrupted(_connection: Connection) -> int:
            raise KeyboardInterrupt

        groups: list[list[Callable[[Connection], int]]]
        groups = [[reserve_one, interrupted], [failing, reserve_one, interrupted]]
        for works in groups:
            with pytest.raises(KeyboardInterrupt):
                store.transact(works)
        assert ids_in(store) == []
        assert isinstance(store.transact([reserve_one])[0], int)

    def test_a_closed_one_writes_nothing(self, store: PostgresDatabase) -> None:
        store.close()
        store.close()
        assert "closed" in str(store.transact([reserve_one])[0])

    def test_wait_for_those_of_other_hubs_in_bounded_time(
        self, store: PostgresDatabase, place: Place
    ) -> None:
        with closing(opened(place, lock_timeout=0.05)) as hasty, locked(place):
            (error,) = hasty.transact([reserve_one])
            assert "other hubs have kept it locked for 0.05 s" in str(error)
            # What only reads waits for nobody.
            assert hasty.read(newest_jobs) == []
        assert isinstance(store.transact([reserve_one])[0], int)

    def test_of_a_machine_that_vanished_do_not_keep_the_lock(
        self, store: PostgresDatabase, place: Place
    ) -> None:
        with locked(place, lock_timeout=0.05):
            assert isinstance(store.transact([reserve_one])[0], int)

    def test_survive_the_crash_of_the_machine_if_the_user_does_not_want_it(self, place: Place) -> None:
        def setting(connection: Connection) -> object:
            return connection.execute("SELECT current_setting('synchronous_commit')").fetchone()

        careless = with_options(place.address, options="-csynchronous_commit=off")
        for pooler in (False, True):
            with closing(opened(place, address=careless, pooler=pooler)) as store:
                assert store.transact([setting]) == [("on",)]


class TestReading:
    def test_refuses_to_write(self, store: PostgresDatabase) -> None:
        assert "cannot execute INSERT in a read-only transaction" in why(lambda: store.read(reserve_one))
        assert ids_in(store) == []

    def test_raises_what_the_work_raises(self, store: PostgresDatabase) -> None:
        def missing(_connection: Connection) -> None:
            raise LookupError("no such thing")

        with pytest.raises(LookupError, match="no such thing"):
            store.read(missing)
        assert isinstance(store.transact([reserve_one])[0], int)

    def test_that_fails_says_that_nothing_was_read(self, store: PostgresDatabase) -> None:
        def senseless(connection: Connection) -> object:
            return connection.execute("SELECT * FROM nowhere")

        assert 'a table is missing (relation "nowhere" does not exist); it was not read' in why(
            lambda: store.read(senseless)
        )


class TestTheClock:
    @pytest.mark.parametrize("skew", [-7200.0, 0.0, 7200.0])
    def test_is_that_of_the_server(self, place: Place, skew: float) -> None:
        with closing(opened(place, clock=lambda: 1_000_000.0 + skew)) as store:
            ((now,),) = cast("list[tuple[float]]", store.transact([server_clock]))
            assert store.now() == pytest.approx(now, abs=60)


def server_clock(connection: Connection) -> object:
    return connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()


class TestAPooler:
    def test_finds_nothing_kept_in_a_session(self, place: Place) -> None:
        """Behind a pooler the next transaction may get another session, such as one without settings."""
        with closing(opened(place, pooler=True)) as store:
            for _ in range(10):
                assert isinstance(store.transact([reserve_one])[0], int)

            def forget(connection: Connection) -> None:
                connection.execute("SELECT set_config('search_path', 'public', false)")
                connection.execute("DEALLOCATE ALL")

            assert store.transact([forget]) == [None]
            for _ in range(10):
                assert isinstance(store.transact([reserve_one])[0], int)
            assert len(ids_in(store)) == 20

            def prepared(connection: Connection) -> list[object]:
                return list(connection.execute("SELECT name FROM pg_prepared_statements"))

            assert store.read(prepared) == []


class TestALostConnection:
    def test_that_was_idle_is_made_again(self, store: PostgresDatabase, place: Place) -> None:
        for step in (lambda: store.transact([reserve_one]), lambda: ids_in(store)):
            step()
            end_connections(place)
            step()
        assert len(ids_in(store)) == 2

    def test_in_the_middle_of_a_transaction_repeats_it(self, store: PostgresDatabase, place: Place) -> None:
        runs: list[int] = []

        def lost_once(connection: Connection) -> int:
            entry = reserve_one(connection)
            runs.append(entry)
            if len(runs) == 1:
                end_connections(place)
            return entry

        store.transact([reserve_one])
        assert store.transact([lost_once, reserve_one]) == [runs[1], runs[1] + 1]
        assert len(ids_in(store)) == 3

    def test_that_is_lost_again_is_an_error(self, store: PostgresDatabase, place: Place) -> None:
        def always(connection: Connection) -> int:
            end_connections(place)
            return reserve_one(connection)

        store.transact([reserve_one])
        errors = store.transact([always, reserve_one])
        assert [type(error) for error in errors] == [JournalError, JournalError]
        assert "it was not written" in str(errors[0])
        assert len(ids_in(store)) == 1

    def test_in_the_middle_of_reading_reads_again(self, store: PostgresDatabase, place: Place) -> None:
        runs: list[None] = []

        def lost_once(connection: Connection) -> int:
            runs.append(None)
            if len(runs) == 1:
                end_connections(place)
            return len(newest_jobs(connection))

        store.transact([reserve_one])
        assert store.read(lost_once) == 1


class TestACommitWithoutAReply:
    @pytest.fixture
    def network(self) -> Iterator[UnreliableServer]:
        with UnreliableServer(shared_server()) as network:
            yield network

    @pytest.fixture
    def store(self, place: Place, network: UnreliableServer) -> Iterator[PostgresDatabase]:
        with closing(opened(place, address=network.address)) as store:
            store.transact([reserve_one])
            yield store

    def test_that_the_server_has_done_is_done(
        self, store: PostgresDatabase, network: UnreliableServer
    ) -> None:
        network.lose_reply_to(COMMIT)
        done, _ = store.transact([reserve_one, failing])
        assert ids_in(store) == [1, done]

    def test_that_never_arrived_is_repeated(self, store: PostgresDatabase, network: UnreliableServer) -> None:
        network.lose(COMMIT)
        (done,) = store.transact([reserve_one])
        assert ids_in(store) == [1, done]

    @pytest.mark.parametrize("arrives", [True, False])
    def test_is_unknown_while_the_server_is_away(
        self, store: PostgresDatabase, network: UnreliableServer, arrives: bool
    ) -> None:
        (network.lose_reply_to if arrives else network.lose)(COMMIT, then_refuse=True)
        one, refused = store.transact([reserve_one, failing])
        assert isinstance(one, OutcomeUnknown)
        assert "whether it was written is unknown" in str(one)
        # The work itself is known to have failed.
        assert isinstance(refused, LookupError)
        assert "it was not written" in str(store.transact([reserve_one])[0])
        network.accept()
        assert ids_in(store) == ([1, one.done] if arrives else [1])


def order_in_a_child(store: PostgresDatabase, is_written: Any, may_go_on: Any) -> None:
    assert store.transact([reserve_one]) == [2]
    is_written.set()
    assert may_go_on.wait(30)
    assert store.transact([reserve_one]) == [4]
    # As at the end of a program: the child's objects are destroyed, and its connections ended.
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_disturbs_no_connection(store: PostgresDatabase) -> None:
    fork = multiprocessing.get_context("fork")
    is_written, may_go_on = fork.Event(), fork.Event()
    assert store.transact([reserve_one]) == [1]
    child = fork.Process(target=order_in_a_child, args=(store, is_written, may_go_on))
    child.start()
    assert is_written.wait(30)
    assert store.transact([reserve_one]) == [3]
    may_go_on.set()
    child.join(30)
    assert child.exitcode == 0
    assert store.transact([reserve_one]) == [5]


class TestOpening:
    """What is wrong is said at once, and never with the password."""

    PASSWORD = "pa55word-of-the-tests"

    @pytest.mark.parametrize(
        ("changes", "problem", "advice"),
        [
            ({"password": "wr0ng-pa55word"}, "refuses the user or the password", "Check both"),
            ({"user": "nobody"}, "refuses the user or the password", "Check both"),
            ({"dbname": "nowhere"}, "there is no such database", "Create it"),
            ({"port": "1"}, "the server can't be reached", "Check that it runs"),
            ({"sslmode": "require"}, "refuses this kind of connection", "See pg_hba.conf"),
            ({"connect_timeout": "x"}, "bad value for connect_timeout", "Report it"),
            ({"options": "-cdefault_transaction_read_only=on"}, "it can only be read", "Name the primary"),
            ({"options": "-cnonsense=1"}, "can't be reached", "Check"),
        ],
    )
    def test_fails_with_advice(
        self, place: Place, changes: dict[str, str], problem: str, advice: str
    ) -> None:
        message = why(lambda: opened(place, address=with_options(place.address, **changes)))
        assert re.search(
            f"^journal postgresql://127.0.0.1:.*{problem}.*no job was created. {advice}", message
        )
        assert self.PASSWORD not in message
        assert "pa55word" not in message

    def test_without_a_server_shows_no_password_of_an_odd_address(self, place: Place) -> None:
        for address in ("postgresql://u:pa55word@127.0.0.1:1/x?nonsense=1", "postgresql://u:pa55%zzword@h/x"):
            message = why(lambda address=address: opened(place, address=address))  # type: ignore[misc]
            assert "the address can't be read" in message
            assert "pa55" not in message

    def test_needs_the_permission_to_make_tables(self, place: Place) -> None:
        user = sql.Identifier(place.schema)
        execute(place.address, sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(user))
        try:
            limited = with_options(place.address, user=place.schema, password="x")
            assert "this user lacks a permission" in why(lambda: opened(place, address=limited))
            opened(place).close()
            assert "this user lacks a permission" in why(lambda: opened(place, address=limited))
        finally:
            execute(place.address, sql.SQL("DROP ROLE {}").format(user))

    def test_uses_a_schema_that_is_there_and_empty(self, place: Place) -> None:
        execute(place.address, sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(place.schema)))
        opened(place).close()

    def test_leaves_tables_of_something_else_alone(self, place: Place) -> None:
        schema = sql.Identifier(place.schema)
        execute(place.address, sql.SQL("CREATE SCHEMA {}").format(schema))
        execute(place.address, sql.SQL("CREATE TABLE {}.jobs (id bigint)").format(schema))
        message = why(lambda: opened(place))
        assert (
            "has tables of something else, such as jobs; no job was created. Name another schema" in message
        )

    def test_refuses_tables_of_a_newer_version(self, place: Place) -> None:
        opened(place).close()
        newer = sql.SQL("UPDATE {}.captchahub_journal SET version = {}")
        execute(place.address, newer.format(sql.Identifier(place.schema), sql.Literal(VERSION + 1)))
        message = why(lambda: opened(place))
        assert f"of version {VERSION + 1}, written by a newer captchahub" in message

    def test_by_eight_hubs_at_once_makes_the_tables_once(self, place: Place) -> None:
        errors: list[BaseException] = []

        def open_one(start: threading.Barrier) -> None:
            start.wait()
            try:
                opened(place).close()
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                errors.append(error)

        start = threading.Barrier(8)
        threads = [threading.Thread(target=open_one, args=(start,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []

    @pytest.mark.parametrize("name", ["of shop", 'of"shop', "of'shop", "of\\shop", "ÄÖ", "user", "a.b"])
    def test_takes_a_schema_of_any_name(self, place: Place, name: str) -> None:
        schema = f"{name} {place.schema}"
        try:
            with closing(PostgresDatabase(Secret(place.address), schema=schema, pooler=True)) as store:
                assert store.transact([reserve_one]) == [1]
        finally:
            execute(place.address, sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


class TestAServerThatRestarts:
    """A server of its own, because the others need theirs."""

    def test_disturbs_nobody_once_it_is_up_again(self) -> None:
        server = PostgresServer()
        try:
            server.start()
            with closing(PostgresDatabase(Secret(server.url), schema="captchahub")) as store:
                assert store.transact([reserve_one]) == [1]
                server.restart()
                assert isinstance(store.transact([reserve_one])[0], int)
                server.stop()
                (error,) = store.transact([reserve_one])
                assert "the server can't be reached" in str(error)
                assert "it was not written" in str(error)
                assert "the server can't be reached" in why(partial(store.read, newest_jobs))
                server.start()
                assert isinstance(store.transact([reserve_one])[0], int)
                assert len(ids_in(store)) == 3
        finally:
            server.close()


def columns(tables: object, table: str) -> list[str]:
    """Return the names of a table's columns in the SQL that makes it."""
    (made,) = [one for one in cast("list[str]", tables) if re.search(rf"CREATE TABLE {table} \(", one)]
    body = re.sub(r"--[^\n]*", "", made[made.index("(") + 1 :])
    return [
        match[1] for match in re.finditer(r"(?:^|,)\s*([a-z_]+) [A-Za-z]", re.sub(r"\([^()]*\)", "", body))
    ]


@pytest.mark.parametrize(
    "table", ["jobs", "owners", "accounts", "account_marks", "mark_key", "ledger", "health", "job_times"]
)
def test_its_tables_have_the_columns_of_those_in_sqlite(table: str) -> None:
    assert columns(TABLES, table) == columns(SQLITE_TABLES, table)
    assert columns(TABLES, table) != []


def test_there_is_no_older_version_yet() -> None:
    """The first migration needs a test like that of test_schema.py, which compares it with a new journal."""
    assert MIGRATIONS == ()
