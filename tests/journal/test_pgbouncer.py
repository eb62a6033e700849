"""The journal behind a real PgBouncer, in each of its modes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg
import pytest

from captchahub._journal.jobs_table import newest_jobs
from captchahub._journal.postgres import PostgresDatabase
from captchahub._journal.watchers import Watchers
from captchahub.errors import JournalError
from captchahub.provider import Secret
from tests.journal.ledger import reserve_one
from tests.journal.stores import Place, needs_postgres, place_of
from tests.pgbouncer import PgBouncer, needs_pgbouncer, started_pgbouncer
from tests.postgres_server import shared_server, with_options

pytestmark = [needs_postgres, needs_pgbouncer]

POOLERS = (None, True, False)
SETTINGS = "SELECT current_setting('search_path'), current_setting('lock_timeout')"


@pytest.fixture(scope="module")
def pgbouncer() -> Iterator[PgBouncer]:
    with started_pgbouncer(shared_server()) as pgbouncer:
        yield pgbouncer


@pytest.fixture(scope="module")
def places() -> Iterator[list[Place]]:
    """The places of two journals in a database."""
    with ExitStack() as stack:
        yield [stack.enter_context(place_of("postgres", None)) for _ in range(2)]


@contextmanager
def opened(places: list[Place], address: str, pooler: bool | None) -> Generator[list[PostgresDatabase]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                closing(PostgresDatabase(Secret(address), schema=place.schema, pooler=pooler))
            )
            for place in places
        ]


@pytest.mark.parametrize("pooler", POOLERS)
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_each_journal_gets_what_is_written_to_it(
    pgbouncer: PgBouncer, places: list[Place], mode: str, pooler: bool | None
) -> None:
    address = pgbouncer.address(mode)
    with opened(places, address, pooler) as stores:
        before = [newest(store) for store in stores]
        # More often than a statement runs before it is prepared on the server.
        for number in range(1, 8):
            written = [first + number for first in before]
            assert [store.transact([reserve_one]) for store in stores] == [[one] for one in written]
            assert [newest(store) for store in stores] == written
        # The programs of others find no setting of the journal in a session of the pool.
        with psycopg.connect(address, autocommit=True, prepare_threshold=None) as other:
            for _ in range(6):
                found = other.execute(SETTINGS)
                assert found.fetchone() == ('"$user", public', "0")


def newest(store: PostgresDatabase) -> int:
    """Return the id of the newest job, or 0."""
    return max((job.id for job in store.read(newest_jobs)), default=0)


@pytest.mark.parametrize("pooler", POOLERS)
def test_statement_mode_is_refused(pgbouncer: PgBouncer, places: list[Place], pooler: bool | None) -> None:
    with (
        pytest.raises(JournalError, match=r"no job was created\. Set pool_mode=transaction"),
        opened(places, pgbouncer.address("statement"), pooler),
    ):
        pass


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_it_listens_only_if_it_is_said_to_have_sessions(
    pgbouncer: PgBouncer, places: list[Place], mode: str
) -> None:
    for pooler in POOLERS:
        with opened(places, pgbouncer.address(mode), pooler) as (store, *_):
            assert (store.listener(Watchers()) is not None) == (pooler is False)
    with opened(places, places[0].address, None) as (store, *_):
        assert store.listener(Watchers()) is not None


def test_its_restart_disturbs_nobody(places: list[Place]) -> None:
    with (
        started_pgbouncer(shared_server()) as pgbouncer,
        opened(places[:1], pgbouncer.address("transaction"), None) as (store,),
    ):
        (first,) = store.transact([reserve_one])
        assert isinstance(first, int)
        pgbouncer.stop()
        (error,) = store.transact([reserve_one])
        assert "the server can't be reached" in str(error)
        pgbouncer.start()
        assert store.transact([reserve_one]) == [first + 1]
        pgbouncer.stop()
        pgbouncer.start()
        assert store.transact([reserve_one]) == [first + 2]


@pytest.mark.parametrize(
    ("old", "new", "advice"),
    [
        ("pa55word", "wr0ng", "Check both"),
        ("/session", "/nowhere", "Create it"),
    ],
)
def test_what_is_wrong_is_said_with_advice(
    pgbouncer: PgBouncer, places: list[Place], old: str, new: str, advice: str
) -> None:
    address = pgbouncer.address("session").replace(old, new)
    with pytest.raises(JournalError, match=rf"no job was created\. {advice}"), opened(places, address, None):
        pass


def test_a_parameter_that_it_refuses_is_said_to_be_one(pgbouncer: PgBouncer, places: list[Place]) -> None:
    address = with_options(pgbouncer.address("session"), options="-cwork_mem=1MB")
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        with (
            pytest.raises(JournalError, match="Remove it from the address, or name it in ignore_startup"),
            opened(places, address, None),
        ):
            pass
    else:
        pytest.skip("this PgBouncer takes options")
