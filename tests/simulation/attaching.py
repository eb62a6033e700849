"""A client that was told of a job, by this process or another, and wants its answer: ``hub.attach``."""

from __future__ import annotations

import asyncio
from random import Random

import attrs

from captchahub._engine.engine import Engine
from captchahub._policy.job_token import Token, read_token
from captchahub.errors import (
    ConfigError,
    HubClosed,
    JobFailed,
    JobTimeout,
    JobUnknown,
    JournalError,
    ProviderError,
)
from captchahub.jobs import JobEntry, JobState
from captchahub.results import Result
from captchahub.tasks import Solution
from captchahub.tickets import Progress
from tests.simulation.environment import Ground
from tests.simulation.process import Process
from tests.simulation.service_types import number_of

__all__ = ["Attaching", "any_attaching"]

_NO_SUCH_JOB = 99_999_999


@attrs.frozen
class Attaching:
    """When it is done, of which of the jobs there are by then, and how long it may take, in seconds."""

    at: float
    timeout: float
    pick: float
    """From 0 to 1: the oldest job to the newest one."""
    is_made_up: bool
    """Whether the service never gave that id to anybody."""

    async def do(self, ground: Ground, engine: Engine, process: Process) -> None:
        """Do it, and see that what comes of it is so."""
        await asyncio.sleep(self.at)
        given = self._token(ground)
        if given is None or engine.is_closed:
            return
        ground.town.count("attach to a job that never was" if self.is_made_up else "attach to a job")
        token = attrs.evolve(given, job_id=_NO_SUCH_JOB) if self.is_made_up else given
        for service in ground.named(token.provider):
            service.attached.add(number_of(token.job_id))
        account = ground.service(given.provider, number_of(given.job_id)).account_of(number_of(given.job_id))
        found = _Found(ground, token, is_own=process.has(account))
        try:
            told: Result[Solution] | Exception = await engine.attach(str(token), self.timeout, Progress())
        except (HubClosed, JournalError):
            return
        except (ProviderError, ConfigError) as error:
            told = error
        # Who is dead is told nothing.
        process.refuse_if_dead()
        found.compare(told)

    def _token(self, ground: Ground) -> Token | None:
        known = [trail.token for trail in ground.log.trails if trail.token is not None]
        return read_token(known[int(self.pick * len(known))]) if known else None


def any_attaching(chance: Random) -> Attaching:
    """One at any time, to any job."""
    return Attaching(
        at=chance.uniform(0, 90),
        timeout=chance.choice((5.0, 60.0)),
        pick=chance.random(),
        is_made_up=chance.random() < 0.1,
    )


class _Found:
    """A job as it was found by somebody who attaches to it; ``is_own`` where its account is surely theirs."""

    def __init__(self, ground: Ground, token: Token, *, is_own: bool) -> None:
        self._ground, self._token, self._is_own = ground, token, is_own
        self._service = ground.service(token.provider, number_of(token.job_id))
        alive = ground.book.read("SELECT id FROM owners WHERE alive_until > ?", ground.town.wall())
        row = self._row()
        self._is_worked_on = row is not None and row.owner in {owner for (owner,) in alive}

    def compare(self, told: Result[Solution] | Exception) -> None:
        """See that what came of it is so, and is written down where that is this hub's to do."""
        town = self._ground.town
        if not self._is_so(told):
            town.blame(f"attaching to {self._token} gave {told!r}")
        if isinstance(told, Result) and not self._ground.book.may_fail and self._is_left_open():
            town.blame(f"the answer to {self._token} was given, and is not written down")

    def _is_so(self, told: Result[Solution] | Exception) -> bool:
        job = self._service.jobs.get(number_of(self._token.job_id))
        match told:
            case Result():
                return job is not None and told.solution == job.solution
            case JobUnknown():
                return job is None or job.id in self._service.told_gone
            case ConfigError():
                return job is None or not self._is_own
            case JobFailed():
                return job is not None and job.solution is None
            case _:
                return isinstance(told, JobTimeout)

    def _is_left_open(self) -> bool:
        """Whether the job was left to whoever claims it, as if there were no answer.

        Where this hub had it before, or took it over otherwise, it sees to it there.
        """
        row = self._row()
        is_nobodys = row is not None and row.owner is None and row.state is JobState.CREATED
        return is_nobodys and not self._is_worked_on

    def _row(self) -> JobEntry | None:
        name, job_id = self._token.provider, self._token.job_id
        rows = self._ground.book.every_job()
        return next((row for row in rows if (row.provider, row.job_id) == (name, job_id)), None)
