"""The environment of a run's clients: the simulated world, the configuration, and a log of their results."""

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
from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import SimulationLoop
from tests.simulation.rates import RateMonitor
from tests.simulation.service import Service
from tests.simulation.world import SimulatedWorld

__all__ = ["Environment", "Log", "ManualSettlement", "SolveResult"]


@attrs.frozen
class SolveResult:
    """The result of a solve, and its start in wall-clock time."""

    picture: int
    begun: float
    result: Result[Solution]


@attrs.frozen
class ManualSettlement:
    """A job of the journal that was settled by hand."""

    entry: JobEntry
    state: JobState
    cost: Decimal | None


class Log:
    """What the callers of all processes received."""

    def __init__(self) -> None:
        self.results: list[SolveResult] = []
        self.collected: list[tuple[str, Collected]] = []
        self.attempts: list[Sequence[Attempt]] = []
        """Those of each solve."""
        self.given_up: dict[int, float] = {}
        """When a collector stopped to wait for a job, by the journal's number of the job."""
        self.progresses: list[Progress] = []
        """The progress of all solves, which have the tokens of their jobs."""
        self.settlements: list[ManualSettlement] = []
        """The jobs that were settled by hand."""
        self.solves = 0
        self.running = 0
        """How many solves run at most; one of a killed process runs until its end is noticed."""
        self.killed: set[str] = set()
        """The names of the killed processes."""


@attrs.frozen
class Environment:
    """The simulated world, the configuration of all hubs, and the log."""

    world: SimulatedWorld
    loop: SimulationLoop
    journal: SimulatedJournal
    services: Sequence[Service]
    configured: Configuration
    log: Log
    rates: RateMonitor

    @property
    def settings(self) -> HubSettings:
        """The settings of all hubs."""
        return self.configured.settings

    def named(self, name: str) -> Sequence[Service]:
        """Return the services with a provider's name."""
        return [one for one in self.services if one.name == name]

    def service(self, provider: str, number: int) -> Service:
        """Return the service that has a job, or the first one if none has it."""
        named = self.named(provider)
        return next((one for one in named if number in one.jobs), named[0])

    def job(self, provider: str, number: int) -> JobRecord | None:
        """Return a job as its service stores it, or None."""
        return self.service(provider, number).jobs.get(number)
