"""Two machines, which share nothing but a database: one budget, one job for equal tasks, and no job lost.

CAPTCHAHUB_FLEET_SOLVES=2000 and CAPTCHAHUB_FLEET_RESTARTS=10 make the longest test longer; ``-s`` prints its
figures.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

import attrs
import pytest

from tests.journal.stores import Place, needs_postgres, place_of
from tests.pgbouncer import needs_pgbouncer, started_pgbouncer
from tests.postgres_server import PostgresServer, with_options, with_other_host
from tests.promises.fleet import PRICE, Fleet, MakeFleet, end_leases

pytestmark = [needs_postgres, pytest.mark.search]

SOLVES = int(os.environ.get("CAPTCHAHUB_FLEET_SOLVES", "60"))
RESTARTS = int(os.environ.get("CAPTCHAHUB_FLEET_RESTARTS", "2"))

# A server whose data survives its restart.
SAFE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
# One whose data is also on a replica need not have it on the disk.
REPLICATED = {"fsync": "off"}


def test_a_budget_for_fifty_is_fifty_jobs(fleet: MakeFleet) -> None:
    machines = fleet(job_time=0.02)
    mapping = machines.mapping(budget={"limit": str(50 * PRICE), "per": "total"})
    pictures = machines.pictures(300)
    halves = pictures[:150], pictures[150:]
    both = [machines.start(mapping=mapping, pictures=half) for half in halves]
    outcomes = [one for machine in both for one in machine.outcomes()]
    assert len(machines.sandbox.jobs) == 50
    assert len(outcomes) == 300
    assert sum(one.error is None for one in outcomes) == 50
    with machines.hub() as hub:
        machines.check_books(hub)


def test_equal_tasks_are_one_job_and_both_get_the_answer(fleet: MakeFleet) -> None:
    machines = fleet(job_time=600)
    pictures = machines.pictures(8)
    both = [machines.start(pictures=pictures) for _ in range(2)]
    machines.sandbox.wait_for_calls("createJob", 8, timeout=30)
    machines.wait_for_connections(2)
    machines.sandbox.finish_jobs()
    outcomes = [one for machine in both for one in machine.outcomes()]
    assert [one.error for one in outcomes] == [None] * 16
    assert all(one.text == str(one.picture) for one in outcomes)
    assert len(machines.sandbox.jobs) == 8


def test_what_a_killed_machine_has_ordered_is_collected_by_another(fleet: MakeFleet) -> None:
    machines = fleet(job_time=600)
    pictures = machines.pictures(6)
    killed = machines.start(pictures=pictures)
    polls = 6
    # A job that is polled is in the journal, with the id that the service gave it.
    while sum(job.asked_at is not None for job in machines.sandbox.jobs) < 6:
        machines.sandbox.wait_for_calls("getJobResult", polls, timeout=30)
        polls += 1
    killed.kill()
    machines.sandbox.finish_jobs()
    end_leases(machines.place)
    outcomes = machines.start(resume=True).outcomes()
    assert sorted(str(one.text) for one in outcomes) == [str(number) for number in range(6)]
    assert len(machines.sandbox.jobs) == 6
    with machines.hub() as hub:
        machines.check_books(hub)


def check_that_no_job_is_lost(machines: Fleet, disturbances: Sequence[Callable[[], object]]) -> None:
    """Solve on two machines, disturb them meanwhile, and check that each picture is answered and one job."""
    pictures = machines.pictures(SOLVES)
    begun = time.monotonic()
    halves = pictures[: SOLVES // 2], pictures[SOLVES // 2 :]
    both = [machines.start(pictures=half, is_patient=True) for half in halves]
    for number, disturb in enumerate(disturbances, 1):
        created = SOLVES * number // (len(disturbances) + 2)
        machines.sandbox.wait_for_calls("createJob", created, timeout=120)
        disturb()
    outcomes = [one for machine in both for one in machine.outcomes()]
    seconds = time.monotonic() - begun
    assert [one.error for one in outcomes] == [None] * SOLVES
    with machines.hub() as hub:
        left = [one for one in hub.resume() if one.error is not None]
        assert left == []
        machines.check_books(hub)
    # None doubled: a picture is one job, whatever happened.
    assert len(machines.sandbox.jobs) == SOLVES
    print(f"{SOLVES} solves, {len(disturbances)} disturbances, {seconds:.1f} s")  # noqa: T201 - for people


@pytest.mark.timeout(120 + SOLVES)
def test_a_server_that_restarts_loses_and_doubles_no_job(fleet: MakeFleet) -> None:
    with ExitStack() as stack:
        server = PostgresServer(SAFE)
        stack.callback(server.close)
        server.start()
        machines = fleet(Place(address=server.url, schema="fleet"), job_time=0.05)
        # Every second time without a shutdown, as after a crash.
        ways = [signal.SIGINT if number % 2 else signal.SIGQUIT for number in range(RESTARTS)]
        check_that_no_job_is_lost(machines, [partial(server.restart, way) for way in ways])


@pytest.mark.timeout(120 + SOLVES)
def test_a_replica_that_takes_over_loses_and_doubles_no_job(fleet: MakeFleet) -> None:
    with ExitStack() as stack:
        primary = PostgresServer(REPLICATED)
        stack.callback(primary.close)
        primary.start()
        replica = PostgresServer(REPLICATED, primary=primary)
        stack.callback(replica.close)
        replica.start()
        primary.replicate_synchronously()
        both = with_options(with_other_host(primary.url, replica.url), target_session_attrs="read-write")
        machines = fleet(Place(address=both, schema="fleet"), job_time=0.05)

        def fail_over() -> None:
            primary.stop(signal.SIGQUIT)
            replica.promote()

        check_that_no_job_is_lost(machines, [fail_over])


@needs_pgbouncer
@pytest.mark.timeout(120 + SOLVES)
def test_a_pooler_that_restarts_loses_and_doubles_no_job(fleet: MakeFleet) -> None:
    with (
        place_of("postgres", None) as place,
        started_pgbouncer(place.address) as pgbouncer,
    ):

        def restart() -> None:
            pgbouncer.stop()
            pgbouncer.start()

        pooled = attrs.evolve(place, address=pgbouncer.address("transaction"))
        check_that_no_job_is_lost(fleet(pooled, job_time=0.05), [restart] * RESTARTS)
