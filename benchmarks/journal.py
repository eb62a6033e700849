"""What the journal costs: CPU a solve, and commits a job, at about 500 solves a second on the real clock.

Run with ``make bench``. The service answers in this process, without HTTP, so that little else is measured.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar, cast

import attrs
from captchahub_omocaptcha.emulation import OmoEmulation
from captchahub_omocaptcha.provider import OmoProvider
from captchahub_omocaptcha.settings import OmoSettings

from benchmarks.compare.pictures import picture
from captchahub import Image, ImageToText, TextSolution
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._journal.database import Database, Work
from captchahub._journal.postgres import PostgresDatabase
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._journal.writer import DatabaseWriter, Writer
from captchahub._plugins.manager import Plugins
from captchahub.hookspecs import hookimpl
from captchahub.provider import ProviderKind, Secret
from captchahub.results import Result
from captchahub.settings import ProviderSettings
from captchahub.testing import EmulatedTransport, World
from tests.postgres_server import PostgresServer

SOLVES = 1000
ROUNDS = 3
RATE = 500
ANSWER = "x7kp2"
# One for each solve and one to warm up.
TASKS = [ImageToText(Image.from_bytes(picture(number, 1000))) for number in range(SOLVES + 1)]

T = TypeVar("T")


class QuickOmoProvider(OmoProvider):
    """OMOcaptcha, were it to allow a poll every 20 milliseconds; the first one finds the answer."""

    min_poll_interval = 0.02


class QuickOmo:
    """The plugin of that provider."""

    @hookimpl
    def captchahub_provider_kinds(self) -> Sequence[ProviderKind[OmoSettings]]:
        """The one kind."""
        return [ProviderKind("omocaptcha", OmoSettings, QuickOmoProvider)]


class NoJournal:
    """Writes nothing down but the accounts, at first, to see what is left."""

    def __init__(self) -> None:
        self._accounts = DatabaseWriter(SqliteDatabase(None), thread=False)
        self._has_accounts = False

    async def write(self, work: Work[T]) -> T:
        """The numbers of the accounts; then the id of a job, or that it was written."""
        if self._has_accounts:
            return cast("T", 1)
        self._has_accounts = True
        return await self._accounts.write(work)

    async def read(self, work: Work[T]) -> T:
        """What is in an empty journal."""
        return await self._accounts.read(work)

    async def aclose(self) -> None:
        """Nothing is held."""


class CountingDatabase:
    """Counts the commits to a database; each is an fsync."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.commits = 0

    def transact(self, works: Sequence[Work[T]]) -> list[T | Exception]:
        """See :meth:`Database.transact`."""
        self.commits += 1
        return self._database.transact(works)

    def read(self, work: Work[T]) -> T:
        """See :meth:`Database.read`."""
        return self._database.read(work)

    def close(self) -> None:
        """See :meth:`Database.close`."""
        self._database.close()


@attrs.frozen
class Cost:
    """What was measured: seconds of CPU a solve, solves a second, and how many were in flight on average."""

    cpu: float
    speed: float
    in_flight: float


PLUGINS = Plugins([QuickOmo()])


def measure(journal: Writer) -> Cost:
    """What a solve costs with that journal, which is closed then."""
    worlds: list[World] = []

    def connect(_settings: ProviderSettings) -> EmulatedTransport:
        world = World(
            now=time.monotonic,
            read_picture=lambda _kind, _picture: TextSolution(ANSWER),
            job_seconds=lambda: 0.0,
        )
        world.add_account("t0ken", "1000")
        worlds.append(world)
        return EmulatedTransport(OmoEmulation(), world)

    account = {
        "plugin": "omocaptcha",
        "api_token": "t0ken",
        "prices": {"image-to-text": "0.00055"},
        "max_in_flight": 1000,
    }
    mapping = {
        "providers": {"omo": account},
        "budget": {"limit": 1000, "per": "day"},
        # Without a journal there is nothing to lease slots from.
        "shared_limits": not isinstance(journal, NoJournal),
    }

    async def run() -> Cost:
        engine = Engine(read_mapping(mapping, PLUGINS), plugins=PLUGINS, connect=connect, journal=journal)
        await engine.solve(TASKS[SOLVES], None)
        cpu, begun = time.process_time(), time.perf_counter()
        solves: list[asyncio.Task[Result[TextSolution]]] = []
        for number in range(SOLVES):
            await asyncio.sleep(begun + number / RATE - time.perf_counter())
            solves.append(asyncio.create_task(engine.solve(TASKS[number], None)))
        results = await asyncio.gather(*solves)
        took = time.perf_counter() - begun
        cpu = time.process_time() - cpu
        await engine.aclose()
        check(worlds, [result.solution.text for result in results])
        return Cost(cpu / SOLVES, SOLVES / took, sum(result.elapsed for result in results) / took)

    return asyncio.run(run())


def check(worlds: Sequence[World], answers: Sequence[str]) -> None:
    """Check that each solve was a job of its own with the right answer."""
    pictures = {job.picture for world in worlds for job in world.jobs.values()}
    if len(pictures) != len(TASKS) or answers != [ANSWER] * SOLVES:
        raise AssertionError(f"{len(answers)} solves were jobs for {len(pictures)} pictures")


def main() -> None:
    """Print the figures; of several rounds the best, for other programs make it only slower."""
    without: list[Cost] = []
    in_memory: list[Cost] = []
    in_file: list[Cost] = []
    in_postgres: list[Cost] = []
    commits: Counter[str] = Counter()

    def counted(kind: str, database: Database) -> Cost:
        counting = CountingDatabase(database)
        cost = measure(DatabaseWriter(counting, thread=True))
        commits[kind] += counting.commits
        return cost

    # On this machine, and its disk is waited for: a network adds its round trips, and no CPU.
    server = PostgresServer({})
    with tempfile.TemporaryDirectory() as folder, closing(server):
        server.start()
        for number in range(ROUNDS):
            without.append(measure(NoJournal()))
            in_memory.append(measure(DatabaseWriter(SqliteDatabase(None), thread=False)))
            in_file.append(counted("in a file", SqliteDatabase(Path(folder) / f"{number}.db")))
            database = PostgresDatabase(Secret(server.url), schema=f"bench_{number}")
            in_postgres.append(counted("PostgreSQL", database))
    least = min(cost.cpu for cost in without)
    for name, costs in (
        ("none", without),
        ("in memory", in_memory),
        ("in a file", in_file),
        ("PostgreSQL", in_postgres),
    ):
        best = min(costs, key=lambda cost: cost.cpu)
        cpu = f"{best.cpu * 1000:.2f} ms of CPU a solve, {(best.cpu - least) * 1000:.2f} ms for the journal"
        print(f"journal {name + ':':11} {cpu}; {best.speed:.0f} solves/s, {best.in_flight:.0f} in flight")
    for name, many in commits.items():
        print(f"commits (fsyncs) a job, {name}: {many / ROUNDS / SOLVES:.2f}")


if __name__ == "__main__":
    main()
