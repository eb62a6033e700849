"""What it costs to start: an import, and the command line's help, each in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import attrs

from benchmarks.compare.cores import pin
from benchmarks.compare.figures import Figure, table
from benchmarks.compare.processes import Site, Wrong

PYTHON, REQUESTS, IMPORT, HELP = "python alone", "import requests", "import captchahub", "captchahub --help"

_COMMANDS: Mapping[str, list[str]] = {
    PYTHON: [sys.executable, "-c", "pass"],
    REQUESTS: [sys.executable, "-c", "import requests"],
    IMPORT: [sys.executable, "-c", "import captchahub"],
    HELP: [str(Path(sys.executable).parent / "captchahub"), "--help"],
}


@attrs.frozen
class Start:
    """The milliseconds that a start takes, of CPU and by the clock."""

    cpu: Figure
    wall: Figure


def measure(where: Site, starts: int) -> Mapping[str, Start]:
    """Start each in turn, many times, after once to compile what is imported."""
    for command in _COMMANDS.values():
        _start(where, command)
    found = defaultdict[str, list[tuple[float, float]]](list)
    for _ in range(starts):
        for name, command in _COMMANDS.items():
            found[name].append(_start(where, command))
    return {
        name: Start(Figure(tuple(cpu for cpu, _ in values)), Figure(tuple(wall for _, wall in values)))
        for name, values in found.items()
    }


def own(starts: Mapping[str, Start], name: str) -> float:
    """Return the milliseconds of CPU of a start without those of Python itself."""
    return starts[name].cpu.median - starts[PYTHON].cpu.median


def start_table(starts: Mapping[str, Start]) -> str:
    """Return the costs of a start in Markdown."""
    rows = [(name, start.cpu, f"{own(starts, name):.0f}", start.wall) for name, start in starts.items()]
    return table(["start", "CPU, ms", "without Python's own, ms", "wall, ms"], rows)


def _start(where: Site, command: list[str]) -> tuple[float, float]:
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - our own commands
        pin(where.client_core, process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begun
    if process.returncode:
        raise Wrong(f"{command} ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000, wall * 1000
