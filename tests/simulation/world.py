"""What is not the client, and all services and processes have in common: the clock, the trace, the blame."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import Counter
from datetime import datetime

from captchahub.tasks import Solution, Task
from captchahub.testing.emulation import picture_hash
from tests.simulation.pictures import picture_of, task_of

__all__ = ["Town"]

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


class Town:
    """What all services and processes of a run have in common."""

    def __init__(self, seed: int, loop: asyncio.AbstractEventLoop) -> None:
        self.seed = seed
        self.loop = loop
        self.is_calm = False
        """Whether nothing goes wrong any more."""
        self.morning = self.chance("morning").choice(_MORNINGS)
        """What the clock on the wall shows when the virtual one begins, in seconds since 1970."""
        self.wall_offset = 0.0
        self.has_reliable_clock = True
        """False once it jumped: then nobody can say of two times which one was first."""
        self.has_reliable_leases = True
        """False once a clock jumped or a process stalled: then two may well work on one job for a while."""
        self.faults: Counter[str] = Counter()
        """What was done to the client, and how often."""
        self.deeds: Counter[str] = Counter()
        """What was done beside that, and how often."""
        self.wrong: list[str] = []
        """What must not have happened."""
        self.trace = 0
        """The same for two runs that went the same way."""
        self.solves: Counter[str] = Counter()
        """How often a solve was begun, by the hash of its picture."""
        self.tasks: dict[str, Task[Solution]] = {}
        """The tasks that were to be solved, by their fingerprints."""

    def chance(self, of: str) -> random.Random:
        """Chance of its own for a part of the run, so that one more draw there changes nothing elsewhere."""
        return random.Random(f"{self.seed} {of}")

    def begin_solve(self, number: int) -> None:
        """Note that somebody wants to know what is in a picture."""
        self.solves[picture_hash(picture_of(number))] += 1
        task = task_of(number)
        self.tasks[task.fingerprint] = task

    def wall(self) -> float:
        """The clock on the wall."""
        return self.morning + self.loop.time() + self.wall_offset

    def jump(self, seconds: float) -> None:
        """Set the clock on the wall."""
        self.inject("clock jump")
        self.wall_offset += seconds
        self.has_reliable_clock = False
        self.has_reliable_leases = False

    def inject(self, fault: str) -> None:
        """Count something that is done to the client."""
        self.faults[fault] += 1

    def count(self, deed: str) -> None:
        """Count something that was done, so that it can be seen whether runs come to it at all."""
        self.deeds[deed] += 1

    def note(self, event: str) -> None:
        """Write something into the trace."""
        self.trace = zlib.crc32(f"{self.loop.time():.6f} {event}".encode(), self.trace)

    def blame(self, problem: str) -> None:
        """Something happened that must not."""
        self.wrong.append(f"at {self.loop.time():.3f} s: {problem}")
