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

from benchmarks.compare.pictures import picture
from benchmarks.emulated_service import ANSWER, CountingDatabase, EmulatedService, configuration
from captchahub import Image, ImageToText, TextSolution
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._journal.database import Database, Work
from captchahub._journal.postgres import PostgresDatabase
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._journal.writer import DatabaseWriter, Writer
from captchahub._plugins.manager import Plugins
from captchahub.provider import Secret
from captchahub.results import Result
from tests.postgres_server import PostgresServer
from tests.quick_omo import QuickOmo

SOLVES = 1000
ROUNDS = 3
RATE = 500
# One for each solve and one to warm up.
TASKS = [ImageToText(Image.from_bytes(picture(number, 1000))) for number in range(SOLVES + 1)]

T = TypeVar("T")


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


@attrs.frozen
class Cost:
    """What was measured: seconds of CPU a solve, solves a second, and how many were in flight on average."""

    cpu: float
    speed: float
    in_flight: float


PLUGINS = Plugins([QuickOmo()])


def measure(journal: Writer) -> Cost:
    """What a solve costs with that journal, which is closed then."""
    service = EmulatedService()
    # Without a journal there is nothing to lease slots from.
    mapping = {**configuration(), "shared_limits": not isinstance(journal, NoJournal)}

    async def run() -> Cost:
        engine = Engine(
            read_mapping(mapping, PLUGINS), plugins=PLUGINS, connect=service.connect, journal=journal
        )
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
        check(service.pictures, [result.solution.text for result in results])
        return Cost(cpu / SOLVES, SOLVES / took, sum(result.elapsed for result in results) / took)

    return asyncio.run(run())


def check(pictures: int, answers: Sequence[str]) -> None:
    """Check that each solve was a job of its own with the right answer."""
    if pictures != len(TASKS) or answers != [ANSWER] * SOLVES:
        raise AssertionError(f"{len(answers)} solves were jobs for {pictures} pictures")


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
