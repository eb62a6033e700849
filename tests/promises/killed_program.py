"""Processes that solve pictures until they are killed; test_kill.py starts them on one journal.

They use the real engine, journal and HTTP. Only their wall clocks are behind, so that each generation takes
the one before it for dead without waiting for a lease to run out.

The program forks a process for each line of arguments on its stdin, because importing everything takes longer
than most of the processes live, and prints the process id. For a line with a process id it waits for that
process, and prints its exit code.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import attrs

from captchahub import Image, ImageToText, TextSolution
from captchahub._config.loader import read_mapping
from captchahub._engine.engine import Engine
from captchahub._plugins.manager import Plugins
from captchahub.provider import JobId
from captchahub.tasks import Solution
from tests.quick_omo import QuickOmo

AT_ONCE = 6


@attrs.frozen
class Arguments:
    """The arguments of a process. ``behind`` is how late its wall clock is, in seconds."""

    mapping: dict[str, object]
    pictures: str
    results: str
    behind: float
    seed: int


# Looking for what is installed takes longer than a solve.
PLUGINS = Plugins([QuickOmo()])
PLUGINS.kind("omocaptcha")


class Results:
    """The results, one line each. A write that has returned outlives the process."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def add(self, how: str, job_id: JobId | None, solution: Solution | None) -> None:
        assert isinstance(solution, TextSolution)
        line = json.dumps({"how": how, "job_id": job_id, "text": solution.text}) + "\n"
        assert os.write(self._file, line.encode()) == len(line)


async def solve_endlessly(
    engine: Engine, tasks: Sequence[ImageToText], results: Results, chance: random.Random
) -> None:
    while True:
        result = await engine.solve(chance.choice(tasks), 30.0)
        results.add("solved", result.job_id, result.solution)


async def resume(engine: Engine, results: Results) -> None:
    async for collected in engine.resume(AT_ONCE):
        assert collected.error is None, collected
        results.add("resumed", collected.entry.job_id, collected.solution)


async def live(arguments: Arguments, tasks: Sequence[ImageToText]) -> None:
    settings = read_mapping(arguments.mapping, PLUGINS)
    results, chance = Results(arguments.results), random.Random(arguments.seed)
    engine = Engine(settings, plugins=PLUGINS, wall_clock=lambda: time.time() - arguments.behind)
    async with asyncio.TaskGroup() as group:
        group.create_task(resume(engine, results))
        for _ in range(AT_ONCE):
            group.create_task(solve_endlessly(engine, tasks, results, chance))


def start(arguments: Arguments) -> int:
    """Fork a process, and return its id."""
    pid = os.fork()
    if pid == 0:
        try:
            pictures = [path.read_bytes() for path in sorted(Path(arguments.pictures).iterdir())]
            asyncio.run(live(arguments, [ImageToText(Image.from_bytes(picture)) for picture in pictures]))
        except Exception:  # noqa: BLE001 - the parent reads it from stderr
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def main() -> None:
    alive: set[int] = set()
    try:
        for line in sys.stdin:
            request = json.loads(line)
            if isinstance(request, int):
                reply = os.waitstatus_to_exitcode(os.waitpid(request, 0)[1])
                alive.discard(request)
            else:
                reply = start(Arguments(**request))
                alive.add(reply)
            print(reply, flush=True)  # noqa: T201 - for the parent
    finally:
        for pid in alive:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
