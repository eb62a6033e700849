"""Whether a hub grows over many solves, and how much CPU the jobs take that it waits for.

Run with ``python -m benchmarks.soak_memory``; ``make soak`` does it with ``CAPTCHAHUB_SOAK=100000`` solves.
The solves run on a virtual clock, in ten steps of an hour each, once with the journal in memory and once in a
file. The journal keeps ended jobs for an hour and looks for old ones every hour, so what it holds is the same
after each step but the first ones. Ends with an error if the memory grows after these, or if jobs that are
not polled take 2 % of a core. Those jobs are open on the real clock. The service answers in this process,
without HTTP.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.calls import answer, picture
from captchahub import Image, ImageToText
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._journal.writer import DatabaseWriter, Writer
from captchahub._plugins.manager import Plugins
from captchahub.provider import Reply, Request
from captchahub.testing import json_reply, run_virtual

SOLVES = int(os.environ.get("CAPTCHAHUB_SOAK", "5000"))
STEPS = 10
WARM_UP = 4
IN_FLIGHT = 50
STEP_SECONDS = 3600.0
# 15 January 2027.
BEGIN = 1_800_000_000.0

WAITING = 5000
WATCHED_SECONDS = 5.0
MOST_CPU = 0.02

SHARED = Path("/dev/shm")  # noqa: S108 - the folder in it has a random name


class Service:
    """A transport to a service whose answers name the jobs. ``is_ready`` says whether it has them yet.

    ``all_created`` is set when it has ``expected`` jobs.
    """

    def __init__(self, expected: int, *, is_ready: bool) -> None:
        self.created = self.polls = 0
        self.all_created = asyncio.Event()
        self._expected, self._is_ready = expected, is_ready

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """Create a job, or return what became of one."""
        del timeout
        if request.url.endswith("createJob"):
            self.created += 1
            if self.created == self._expected:
                self.all_created.set()
            return json_reply({"error": False, "job_id": self.created})
        self.polls += 1
        job_id: int = json.loads(request.body)["job_id"]
        if not self._is_ready:
            return json_reply({"error": False, "status": "processing"})
        return json_reply({"error": False, "status": "success", "result": answer(job_id)})

    async def aclose(self) -> None:
        """Nothing is held."""


def new_engine(
    service: Service, account: Mapping[str, object], *, begin: float = 0.0, writer: Writer | None = None
) -> Engine:
    """Return an engine with one provider. Its wall clock shows ``begin`` at the start of the loop's clock."""
    plugins, loop = Plugins(), asyncio.get_running_loop()
    provider = {"plugin": "omocaptcha", "api_token": "t0ken", "prices": {"image-to-text": "0.001"}, **account}
    mapping = {"providers": {"omo": provider}, "journal": {"keep": "1h"}}
    return Engine(
        read_mapping(mapping, plugins),
        plugins=plugins,
        connect=lambda _: service,
        wall_clock=lambda: begin + loop.time(),
        journal=writer,
    )


def task(number: int) -> ImageToText:
    """A task of its own for each number, because equal tasks share one job."""
    return ImageToText(Image.from_bytes(picture(number)))


@attrs.frozen
class Memory:
    """The memory of this process: resident megabytes, allocated blocks, and objects with references."""

    resident: float
    blocks: int
    objects: int

    @classmethod
    def now(cls) -> Memory:
        """Return it without what can be freed."""
        gc.collect()
        # In pages; Linux only.
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        resident = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        return cls(resident, sys.getallocatedblocks(), len(gc.get_objects()))

    def __str__(self) -> str:
        return f"{self.resident:7.1f} MB  {self.blocks:9,} blocks  {self.objects:9,} objects"

    def check_growth(self, since: Memory) -> None:
        """Raise AssertionError if there is more than before, beyond what varies by itself."""
        for name, before, after, slack in (
            ("megabytes", since.resident, self.resident, 4.0),
            ("blocks", since.blocks, self.blocks, 2000),
            ("objects", since.objects, self.objects, 500),
        ):
            if after > before * 1.03 + slack:
                raise AssertionError(f"the memory grew from {before:,.0f} to {after:,.0f} {name}")


async def solve_all(writer: Writer | None) -> Sequence[Memory]:
    """Solve in steps, and return the memory after each."""
    in_turn = SOLVES // STEPS // IN_FLIGHT
    service = Service(in_turn * IN_FLIGHT * STEPS, is_ready=True)
    engine = new_engine(service, {"max_in_flight": IN_FLIGHT}, begin=BEGIN, writer=writer)
    loop, found = asyncio.get_running_loop(), list[Memory]()
    numbers = iter(range(SOLVES))

    async def solve_some(count: int) -> None:
        for number in (next(numbers) for _ in range(count)):
            result = await engine.solve(task(number), None, share=True)
            if result.solution.text != answer(int(result.job_id or 0)):
                raise AssertionError(f"solve {number} got the answer of another job")

    for step in range(1, STEPS + 1):
        await asyncio.gather(*(solve_some(in_turn) for _ in range(IN_FLIGHT)))
        await asyncio.sleep(step * STEP_SECONDS - loop.time())
        found.append(Memory.now())
        print(f"  {service.created:9,} solves  {found[-1]}", flush=True)
    await engine.aclose()
    if not service.all_created.is_set():
        raise AssertionError(f"{service.created} jobs were created")
    return found


@attrs.frozen
class Waiting:
    """What open jobs cost: a share of a core, at so many polls a second."""

    cpu: float
    polls: float

    def __str__(self) -> str:
        each = f", {self.cpu / self.polls * 1000:.2f} ms a poll" if self.polls else ""
        return f"{self.cpu:.1%} of a core, {self.polls:,.0f} polls a second{each}"


async def wait_for_jobs(account: Mapping[str, object]) -> Waiting:
    """Create jobs that stay open, and return what they cost while the hub waits for them."""
    service = Service(WAITING, is_ready=False)
    engine = new_engine(service, {"max_in_flight": WAITING, "timeout": "10m", **account}, begin=time.time())
    solves = [asyncio.create_task(engine.solve(task(number), 600.0)) for number in range(WAITING)]
    await service.all_created.wait()
    # The hub is still busy with the last of them.
    await asyncio.sleep(1.0)
    polls, cpu, begun = service.polls, time.process_time(), time.perf_counter()
    await asyncio.sleep(WATCHED_SECONDS)
    cpu, took = time.process_time() - cpu, time.perf_counter() - begun
    waiting = Waiting(cpu / took, (service.polls - polls) / took)
    for one in solves:
        one.cancel()
    await asyncio.gather(*solves, return_exceptions=True)
    await engine.aclose()
    return waiting


def main() -> None:
    """Print the figures."""
    # In a file system in memory, if there is one, because each commit waits for the disk.
    with tempfile.TemporaryDirectory(dir=SHARED if SHARED.is_dir() else None) as folder:
        for title, writer in (
            ("memory", None),
            ("a file", DatabaseWriter(SqliteDatabase(Path(folder, "jobs.db")), thread=False)),
        ):
            print(f"{SOLVES:,} solves, journal in {title}:")
            cpu = time.process_time()
            found = run_virtual(solve_all(writer))
            print(f"  {(time.process_time() - cpu) / SOLVES * 1000:.2f} ms of CPU a solve")
            found[-1].check_growth(found[WARM_UP - 1])
    unpolled = asyncio.run(wait_for_jobs({"poll_interval": "5m"}))
    print(f"{WAITING:,} open jobs, no poll due:        {unpolled}")
    print(f"{WAITING:,} open jobs, polled by default:  {asyncio.run(wait_for_jobs({}))}")
    if unpolled.polls or unpolled.cpu >= MOST_CPU:
        raise AssertionError(f"jobs that are not polled take {unpolled.cpu:.1%} of a core")


if __name__ == "__main__":
    main()
