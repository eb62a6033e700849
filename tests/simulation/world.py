"""What all services and processes of a run share: the clock, the trace and the violations."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from captchahub.tasks import Solution, Task
from captchahub.testing.emulation import picture_hash
from tests.simulation.pictures import picture_of, task_of

if TYPE_CHECKING:
    from tests.simulation.process import Process

__all__ = ["SimulatedWorld"]

# When runs begin: at any time, or a little before an hour or a day of some zone is over, or before the clocks
# are set back in Berlin.
_MORNINGS = tuple(
    datetime.fromisoformat(written).timestamp()
    for written in (
        "2027-01-15T08:00:00+00:00",
        "2027-01-15T23:58:00+00:00",
        "2027-01-15T18:13:00+00:00",
        "2027-10-31T00:58:00+00:00",
        "2027-10-31T22:58:00+00:00",
    )
)


class SimulatedWorld:
    """The state that all services and processes of a run share."""

    def __init__(self, seed: int, loop: asyncio.AbstractEventLoop) -> None:
        self.seed = seed
        self.loop = loop
        self.is_calm = False
        """Whether no more faults are injected."""
        self.morning = self.chance("morning").choice(_MORNINGS)
        """The wall-clock time at the start of the virtual clock, in seconds since 1970."""
        self.wall_offset = 0.0
        self.has_reliable_clock = True
        """False after a jump: then the order of two times is unknown."""
        self.has_reliable_leases = True
        """False after a clock jump or a stall: then two processes may work on one job for a while."""
        self.faults: Counter[str] = Counter()
        """The number of injected faults, by name."""
        self.actions: Counter[str] = Counter()
        """The number of other actions, by name."""
        self.wrong: list[str] = []
        """The violations."""
        self.processes: list[Process] = []
        """All processes that were ever started."""
        self.trace = 0
        """A checksum of the run's events."""
        self.solves: Counter[str] = Counter()
        """The number of solves, by the hash of the picture."""
        self.tasks: dict[str, Task[Solution]] = {}
        """The tasks of all solves, by fingerprint."""

    def chance(self, of: str) -> random.Random:
        """Return the random generator of a part of the run. Other parts do not depend on its draws."""
        return random.Random(f"{self.seed} {of}")

    def begin_solve(self, number: int) -> None:
        """Record that a solve starts."""
        self.solves[picture_hash(picture_of(number))] += 1
        task = task_of(number)
        self.tasks[task.fingerprint] = task

    def wall(self) -> float:
        """Return the wall-clock time."""
        return self.morning + self.loop.time() + self.wall_offset

    def jump(self, seconds: float) -> None:
        """Move the wall clock."""
        self.inject("clock jump")
        self.wall_offset += seconds
        self.has_reliable_clock = False
        self.has_reliable_leases = False

    def inject(self, fault: str) -> None:
        """Count an injected fault."""
        self.faults[fault] += 1

    def count(self, action: str) -> None:
        """Count an action, to see whether runs reach it at all."""
        self.actions[action] += 1

    def note(self, event: str) -> None:
        """Add an event to the trace."""
        self.trace = zlib.crc32(f"{self.loop.time():.6f} {event}".encode(), self.trace)

    def report_violation(self, problem: str) -> None:
        """Record something that must not happen."""
        self.wrong.append(f"at {self.loop.time():.3f} s: {problem}")
