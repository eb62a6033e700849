"""Two machines, which share nothing but a database: one budget, one job for equal tasks, and no job lost.

CAPTCHAHUB_FLEET_SOLVES=2000 and CAPTCHAHUB_FLEET_RESTARTS=10 make the longest test longer; ``-s`` prints its
figures.
"""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import PIL.Image
import pytest
from psycopg import sql

from captchahub import Hub, Image, JobState
from captchahub.testing import Sandbox, load_emulation
from tests.journal.stores import Place, place_of
from tests.postgres_server import PostgresServer, execute, with_options
from tests.promises.machine import Arguments, Outcome
from tests.quick_omo import QuickOmo

SOLVES = int(os.environ.get("CAPTCHAHUB_FLEET_SOLVES", "60"))
RESTARTS = int(os.environ.get("CAPTCHAHUB_FLEET_RESTARTS", "2"))
MACHINE = Path(__file__).parent / "machine.py"
PRICE = Decimal("0.00055")
# More jobs than there will be.
ALL = 1_000_000

# A server whose data survives its restart.
SAFE: Mapping[str, str] = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Machine:
    """A process group of its own, with a folder of its own."""

    def __init__(self, arguments: Arguments, folder: Path) -> None:
        folder.mkdir()
        self._log = (folder / "stderr").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, MACHINE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=folder,
            env={**os.environ, "XDG_STATE_HOME": str(folder), "HOME": str(folder)},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        json.dump(attrs.asdict(arguments), self._process.stdin)
        self._process.stdin.close()

    def outcomes(self) -> list[Outcome]:
        """Wait for the end of the machine, and return how its pictures ended."""
        assert self._process.stdout is not None
        found = [Outcome(**json.loads(line)) for line in self._process.stdout]
        self._log.seek(0)
        assert self._process.wait(60) == 0, self._log.read().decode()
        return found

    def kill(self) -> None:
        """Kill the whole process group."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@attrs.frozen
class Fleet:
    """The service, the database, and the machines of a test."""

    sandbox: Sandbox
    place: Place
    folder: Path
    machines: ExitStack

    def mapping(self, **keys: object) -> dict[str, Any]:
        account = {
            "plugin": "omocaptcha",
            "prices": {"image-to-text": str(PRICE)},
            # It is imported sooner than the other transport.
            "transport": "requests",
            **self.sandbox.settings("token", balance="1000"),
        }
        # The name by which the server lists the connections of this test.
        address = with_options(self.place.address, application_name=self.place.schema)
        journal = {"url": address, "schema": self.place.schema}
        return {"providers": {"omo": account}, "journal": journal, **keys}

    def pictures(self, count: int) -> list[str]:
        """Return distinct pictures, whose right texts are their places."""
        found: list[str] = []
        for number in range(count):
            picture = io.BytesIO()
            PIL.Image.new("RGB", (40, 20), (number % 256, number // 256, 99)).save(picture, "PNG")
            self.sandbox.know(Image.from_bytes(picture.getvalue()), str(number))
            found.append(base64.b64encode(picture.getvalue()).decode())
        return found

    def start(self, **arguments: Any) -> Machine:
        given: dict[str, Any] = {"mapping": self.mapping(), **arguments}
        machine = Machine(Arguments(**given), self.folder / f"machine-{len(list(self.folder.iterdir()))}")
        self.machines.callback(machine.close)
        return machine

    @contextmanager
    def hub(self) -> Generator[Hub]:
        with Hub.from_mapping(self.mapping(), plugins=[QuickOmo()]) as hub:
            yield hub

    def wait_for_connections(self, count: int) -> None:
        """Wait until machines have connected, which they do when their first solves begin.

        A connection that only listens does not count.
        """
        until = time.monotonic() + 30
        text = sql.SQL(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND query NOT LIKE 'LISTEN%%'"
        )
        while execute(self.place.address, text, self.place.schema)[0][0] != count:
            assert time.monotonic() < until
            time.sleep(0.02)

    def check_books(self, hub: Hub) -> None:
        """Check that the journal has the jobs of the service, each once, and what they cost."""
        rows = hub.jobs(limit=ALL)
        at_service = {job.id for job in self.sandbox.jobs}
        with_id = Counter(row.job_id for row in rows if row.job_id is not None)
        assert set(with_id) == at_service
        assert set(with_id.values()) <= {1}
        assert {row.state for row in rows} <= {JobState.SOLVED, JobState.NOT_SENT}
        assert sum((line.amount for line in hub.spend()), Decimal(0)) == PRICE * len(at_service)


MakeFleet = Callable[..., Fleet]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[MakeFleet]:
    with ExitStack() as stack:

        def make(server: str | None = None, **sandbox: Any) -> Fleet:
            running = stack.enter_context(Sandbox(load_emulation("omocaptcha"), **sandbox))
            place = (
                stack.enter_context(place_of("postgres", None))
                if server is None
                else Place(None, server, "fleet")
            )
            return Fleet(running, place, tmp_path, stack.enter_context(ExitStack()))

        yield make


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


def end_leases(place: Place) -> None:
    """Let the time pass that a machine without a sign of life counts as alive."""
    owners = sql.Identifier(place.schema, "owners")
    execute(place.address, sql.SQL("UPDATE {} SET alive_until = alive_until - 60").format(owners))


@pytest.mark.timeout(120 + SOLVES)
def test_a_server_that_restarts_loses_and_doubles_no_job(fleet: MakeFleet) -> None:
    server = PostgresServer(SAFE)
    try:
        server.start()
        machines = fleet(server.url, job_time=0.05)
        pictures = machines.pictures(SOLVES)
        begun = time.monotonic()
        halves = pictures[: SOLVES // 2], pictures[SOLVES // 2 :]
        both = [machines.start(pictures=half, is_patient=True) for half in halves]
        for number in range(RESTARTS):
            created = SOLVES * (number + 1) // (RESTARTS + 2)
            machines.sandbox.wait_for_calls("createJob", created, timeout=120)
            # Every second time without a shutdown, as after a crash.
            server.restart(signal.SIGINT if number % 2 else signal.SIGQUIT)
        outcomes = [one for machine in both for one in machine.outcomes()]
        seconds = time.monotonic() - begun
        assert [one.error for one in outcomes] == [None] * SOLVES
        with machines.hub() as hub:
            left = [one for one in hub.resume() if one.error is not None]
            assert left == []
            machines.check_books(hub)
        # None doubled: a picture is one job, whatever happened.
        assert len(machines.sandbox.jobs) == SOLVES
        print(f"{SOLVES} solves, {RESTARTS} restarts, {seconds:.1f} s")  # noqa: T201 - for people
    finally:
        server.close()
