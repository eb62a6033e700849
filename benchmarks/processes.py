"""What several processes solve together on one account and one journal: solves a second, CPU and commits.

Run with ``make bench``, on Linux. Each process has an engine of its own; the service answers in it, without
HTTP, so that the journal limits them and not the service. Each solve is a job of its own, under a budget. The
journals on disk wait for the disk at each commit.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path

import attrs

from benchmarks.compare.pictures import picture
from benchmarks.emulated_service import ANSWER, CountingDatabase, EmulatedService, configuration
from captchahub import Image, ImageToText
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._journal.database import Database
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._journal.writer import DatabaseWriter
from captchahub._plugins.manager import Plugins
from captchahub.jobs import JobState
from captchahub.provider import Secret
from tests.postgres_server import PostgresServer
from tests.quick_omo import QuickOmo

SOLVES = int(os.environ.get("BENCH_PROCESS_SOLVES", "2000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
PROCESSES = (1, 2, 4, 8)
# In flight in each process.
AT_ONCE = 64


@attrs.frozen
class Store:
    """A journal: an SQLite file, a PostgreSQL schema, or, if both are empty, memory."""

    path: str = ""
    url: str = ""
    schema: str = ""

    def open(self) -> Database:
        """Open it in this process."""
        if self.url:
            # Without the extra, the other stores can be measured.
            from captchahub._journal.postgres import PostgresDatabase  # noqa: PLC0415

            return PostgresDatabase(Secret(self.url), schema=self.schema)
        return SqliteDatabase(Path(self.path) if self.path else None)

    @property
    def is_shared(self) -> bool:
        """Whether several processes can open it."""
        return bool(self.path or self.url)


@attrs.frozen
class Done:
    """What one process has done: seconds of CPU, commits, and jobs with the right answer."""

    cpu: float
    commits: int
    jobs: int


@attrs.frozen
class Figures:
    """One measurement: solves a second, and commits a job.

    ``cpu`` and ``server_cpu`` are milliseconds of CPU a solve, in the processes and in the database's server.
    """

    speed: float
    cpu: float
    server_cpu: float
    commits: float


def solve_all(store: Store, first: int, count: int, barrier: Barrier, report: Callable[[Done], None]) -> None:
    """Solve pictures in this process, after all processes are ready."""
    plugins = Plugins([QuickOmo()])
    service = EmulatedService()
    tasks = [ImageToText(Image.from_bytes(picture(number, 1000))) for number in range(first, first + count)]

    async def run() -> Done:
        database = CountingDatabase(store.open())
        writer = DatabaseWriter(database, thread=store.is_shared)
        engine = Engine(
            read_mapping(configuration(), plugins), plugins=plugins, connect=service.connect, journal=writer
        )
        waiting: Iterator[ImageToText] = iter(tasks)

        async def work() -> int:
            right = 0
            for task in waiting:
                result = await engine.solve(task, None)
                right += result.solution.text == ANSWER
            return right

        await asyncio.to_thread(barrier.wait)
        cpu = cpu_of_process()
        right = sum(await asyncio.gather(*(work() for _ in range(AT_ONCE))))
        cpu, commits = cpu_of_process() - cpu, database.commits
        # All are ready, and then the server's processes, which end with the connections, have been looked at.
        await asyncio.to_thread(barrier.wait)
        await asyncio.to_thread(barrier.wait)
        await engine.aclose()
        if service.pictures != count:
            raise AssertionError("not every solve was a job of its own")
        return Done(cpu, commits, right)

    report(asyncio.run(run()))


def cpu_of_process() -> float:
    """Return the seconds of CPU that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_of_children(parent: int) -> float:
    """Return the seconds of CPU that the children of a process have used."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # A process may end meanwhile.
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(store: Store, processes: int, server: int) -> Figures:
    """Return what processes do together. ``server`` is the process of the database's server."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes + 1)
    queue = context.SimpleQueue()
    each = SOLVES // processes
    running = [
        context.Process(target=solve_all, args=(store, number * each, each, barrier, queue.put))
        for number in range(processes)
    ]
    for process in running:
        process.start()
    barrier.wait()
    begun, server_cpu = time.perf_counter(), cpu_of_children(server)
    barrier.wait()
    took, server_cpu = time.perf_counter() - begun, cpu_of_children(server) - server_cpu
    barrier.wait()
    done = [queue.get() for _ in running]
    for process in running:
        process.join()
    jobs = sum(one.jobs for one in done)
    if jobs != each * processes or (store.is_shared and jobs_in(store) != jobs):
        raise AssertionError(f"{jobs} right answers, {jobs_in(store)} jobs in the journal")
    cpu = sum(one.cpu for one in done) / jobs * 1000
    return Figures(jobs / took, cpu, server_cpu / jobs * 1000, sum(one.commits for one in done) / jobs)


def jobs_in(store: Store) -> int:
    """Return how many solved jobs a journal has."""
    database = store.open()
    try:
        ((count,),) = database.read(
            lambda connection: list(
                connection.execute(
                    "SELECT count(*) FROM jobs WHERE state = :state", {"state": JobState.SOLVED.value}
                )
            )
        )
    finally:
        database.close()
    return int(count)


def summary(values: Sequence[float], digits: int) -> str:
    """Return the median of values, with the least and the most."""
    median, least, most = statistics.median(values), min(values), max(values)
    return f"{median:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def main() -> None:
    """Print a line for each journal and number of processes; the rounds are interleaved."""
    found: dict[tuple[str, int], list[Figures]] = {}
    server = PostgresServer({})
    with tempfile.TemporaryDirectory() as folder:
        try:
            server.start()
            for number in range(ROUNDS):
                for processes in PROCESSES:
                    name = f"of{processes}_{number}"
                    stores = {
                        "memory, each its own": Store(),
                        "SQLite file": Store(path=str(Path(folder) / f"{name}.db")),
                        "PostgreSQL": Store(url=server.url, schema=name),
                    }
                    for kind, store in stores.items():
                        found.setdefault((kind, processes), []).append(measure(store, processes, server.pid))
        finally:
            server.close()
    print(f"{SOLVES} solves, {ROUNDS} rounds, {AT_ONCE} in flight in each process; median (least to most)")
    for (kind, processes), figures in sorted(found.items()):
        speed, cpu, server_cpu, commits = (
            summary(values, digits)
            for values, digits in zip(
                zip(*map(attrs.astuple, figures), strict=True), (0, 2, 2, 2), strict=True
            )
        )
        print(f"{kind}, {processes} processes: {speed} solves/s, {commits} commits a job")
        print(f"    {cpu} ms of CPU a solve, and {server_cpu} in the server")


if __name__ == "__main__":
    main()
