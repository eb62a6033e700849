"""The journal on a primary server with a replica, which takes over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from captchahub._journal.database import OutcomeUnknown
from captchahub._journal.jobs_table import newest_jobs
from captchahub._journal.postgres import PostgresDatabase
from captchahub.errors import JournalError
from captchahub.provider import Secret
from tests.journal.ledger import reserve_one
from tests.journal.stores import needs_postgres
from tests.journal.unreliable_server import UnreliableServer
from tests.postgres_server import PASSWORD, PostgresServer, with_options, with_other_host

pytestmark = [
    needs_postgres,
    pytest.mark.skipif(os.name == "nt", reason="its server for tests needs locks of files"),
]

# What is not committed is not sent to the replica by chance.
SETTINGS = {"fsync": "off", "wal_writer_delay": "10s"}


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    server = PostgresServer(SETTINGS)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def replica(primary: PostgresServer) -> Iterator[PostgresServer]:
    server = PostgresServer(SETTINGS, primary=primary)
    try:
        server.start()
        yield server
    finally:
        server.close()


def opened(address: str) -> PostgresDatabase:
    return PostgresDatabase(Secret(address), schema="captchahub")


def why_refused(address: str) -> str:
    with pytest.raises(JournalError, match="no job was created") as raised:
        opened(address)
    assert PASSWORD not in str(raised.value)
    return str(raised.value)


def writable(address: str) -> str:
    return with_options(address, target_session_attrs="read-write")


def test_a_fail_over(primary: PostgresServer, replica: PostgresServer) -> None:
    # One test, because a pair of servers takes two seconds.
    assert "it can only be read; no job was created. Name the primary" in why_refused(replica.url)
    assert "no server of the address can be written" in why_refused(writable(replica.url))
    assert "it can only be read" in why_refused(with_other_host(replica.url, primary.url))
    both = writable(with_other_host(replica.url, primary.url))
    assert "refuses the user or the password" in why_refused(both.replace(PASSWORD, "wr0ng"))

    primary.replicate_synchronously()
    with UnreliableServer(primary.url) as network:
        first = writable(with_other_host(network.address, replica.url))
        with closing(opened(first)) as store:
            assert store.transact([reserve_one]) == [1]
            written: list[object] = []

            def fail_over() -> None:
                """Let others go on without the primary, which cannot be reached any more."""
                replica.promote()
                with closing(opened(replica.url)) as other:
                    # The number of the transaction that is lost is free, and given to another.
                    written.extend(other.transact([reserve_one])[0] for _ in range(3))

            network.lose(b"COMMIT\0", then_refuse=True, meanwhile=fail_over)
            (lost,) = store.transact([reserve_one])
            assert [type(one) for one in written] == [int] * 3
            assert isinstance(lost, OutcomeUnknown)
            assert "whether it was written is unknown" in str(lost)
            (again,) = store.transact([reserve_one])
            assert sorted(job.id for job in store.read(newest_jobs)) == [1, *written, again]
