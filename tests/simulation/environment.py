"""What the clients of a run stand on: the world around them, their configuration, and what they were told."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import attrs

from captchahub.errors import Attempt
from captchahub.jobs import Collected, JobEntry, JobState
from captchahub.results import Result
from captchahub.settings import HubSettings
from captchahub.tasks import Solution
from captchahub.testing.emulation import JobRecord
from captchahub.tickets import Progress
from tests.simulation.configuration import Configuration
from tests.simulation.journal_file import Book
from tests.simulation.loop import SimulationLoop
from tests.simulation.service import Service
from tests.simulation.world import Town

__all__ = ["Ground", "Log", "Said", "Told"]


@attrs.frozen
class Told:
    """The result that a solve came to, and when on the wall it was begun."""

    picture: int
    begun: float
    result: Result[Solution]


@attrs.frozen
class Said:
    """What a person said of a job of the journal."""

    entry: JobEntry
    state: JobState
    cost: Decimal | None


class Log:
    """What the callers of all processes were given."""

    def __init__(self) -> None:
        self.results: list[Told] = []
        self.collected: list[tuple[str, Collected]] = []
        self.attempts: list[Sequence[Attempt]] = []
        """Those of each solve."""
        self.given_up: dict[int, float] = {}
        """When whoever collected jobs took no longer to wait for them, by the journal's number of the job."""
        self.trails: list[Progress] = []
        """Those of all solves, which know the tokens of their jobs."""
        self.said: list[Said] = []
        """What was settled by hand."""
        self.solves = 0
        self.killed: set[str] = set()
        """The names of the processes that were."""


@attrs.frozen
class Ground:
    """The world, the configuration of all hubs, and the log."""

    town: Town
    loop: SimulationLoop
    book: Book
    services: Sequence[Service]
    configured: Configuration
    log: Log

    @property
    def settings(self) -> HubSettings:
        """What all hubs have in common."""
        return self.configured.settings

    def named(self, name: str) -> Sequence[Service]:
        """The services that a provider's name stands for."""
        return [one for one in self.services if one.name == name]

    def service(self, provider: str, number: int) -> Service:
        """The one that has a job; the first one for a job that nobody has."""
        named = self.named(provider)
        return next((one for one in named if number in one.jobs), named[0])

    def job(self, provider: str, number: int) -> JobRecord | None:
        """A job as its service knows it."""
        return self.service(provider, number).jobs.get(number)
