"""What is printed and written: the tables, and under which conditions they were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.compare.figures import table
from benchmarks.compare.in_flight import LOADS, Loaded, load_table
from benchmarks.compare.processes import Site
from benchmarks.compare.solves import Costs, feature_table, floor_table, solve_table
from benchmarks.compare.startup import Start, start_table
from benchmarks.compare.targets import Target

_PACKAGES = (
    "captchahub",
    "2captcha-python",
    "aiohttp",
    "anticaptchaofficial",
    "httpx",
    "pyreqwest",
    "python-anticaptcha",
    "requests",
    "unicaps",
    "unicaptcha",
)

_INTRODUCTION = """\
# What a solve costs, beside other clients

Written by `make bench`, which measures everything in this file in one run on one machine. Each figure is
the median of the rounds, with the least and the most in parentheses. In each round the clients take turns.

The service is a local server in a process of its own, on another core than the client. Each client runs in
a process of its own too. CPU is that of the client's process, all its threads together. Every picture is
different. After each run the answers are checked, and so is the number of jobs and polls that the server
counted.
"""

_SOLVES = """\
## CPU a solve, in milliseconds

One picture after the other, each with one create and one poll, after some solves to warm up; only
`solve_many` has 32 pictures in flight. The pauses of a client before its first poll are set to 0, because
sleeping costs no CPU: where it has a setting for that, it is used (unicaps, unicaptcha); the fixed second
of anticaptchaofficial is replaced. captchahub waits a millisecond. 2captcha-python speaks https only.
"""

_IN_FLIGHT = """\
## Many jobs in flight

All begin at the same time, over TLS, with pictures of 4 kB. A job takes 8 to 10 seconds. Each client has
the 2 seconds between two polls that captchahub keeps at this service. *At one time* is the most jobs that
were open together. *Memory* is by how much the most that was used has grown, after the pictures were made.
*Threads* are those besides the main one, *connections* the most that were open at one time. *Lag* is the
time from when an answer is ready until the caller has it.
"""

_STARTS = "## Time to start\n"

_FEATURES = """\
## What each feature costs

Each is switched on alone, over http, with pictures of 4 kB.
"""

_TARGETS = "## Targets\n\nOver TLS, with pictures of 4 kB.\n"


def conditions(where: Site, rounds: str) -> str:
    """Return where, when and how it was measured, in Markdown; ``rounds`` says how often."""
    cores = "not fixed to cores"
    if where.client_core is not None:
        cores = f"server on core {where.server_core}, client on core {where.client_core}"
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    system = platform.system()
    return "\n".join(
        (
            f"- Command: `make bench`; {rounds}",
            f"- Date: {datetime.now(UTC):%Y-%m-%d}",
            f"- Machine: {_processor()}, {os.cpu_count()} cores; {cores}; {system}",
            f"- Python {platform.python_version()}; {packages}",
        )
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))


def solve_part(costs: Costs) -> str:
    """Return the part about solves, in Markdown."""
    return f"{_SOLVES}\n{solve_table(costs)}\n\nThe least that HTTP costs, a post:\n\n{floor_table(costs)}"


def in_flight_part(loaded: Loaded) -> str:
    """Return the part about many jobs, in Markdown."""
    return "\n\n".join(
        (_IN_FLIGHT.rstrip(), *(f"### {load}\n\n{load_table(loaded, load)}" for load in LOADS))
    )


def start_part(starts: Mapping[str, Start]) -> str:
    """Return the part about starting, in Markdown."""
    return f"{_STARTS}\n{start_table(starts)}"


def feature_part(costs: Costs) -> str:
    """Return the part about features, in Markdown."""
    return f"{_FEATURES}\n{feature_table(costs)}"


def target_part(targets: Iterable[Target]) -> str:
    """Return the part about targets, in Markdown."""
    rows = [target.cells for target in targets]
    return f"{_TARGETS}\n{table(['measure', 'found', 'target', ''], rows)}"


def whole(conditions_: str, parts: Iterable[str]) -> str:
    """Return the whole file."""
    return "\n\n".join((_INTRODUCTION.rstrip(), conditions_, *parts)) + "\n"
