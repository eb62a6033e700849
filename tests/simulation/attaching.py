"""A client that knows the token of a job, of this process or another, and attaches to it: ``hub.attach``."""

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
from tests.simulation.environment import Environment
from tests.simulation.process import Process
from tests.simulation.service_types import number_of

__all__ = ["Attaching", "any_attaching"]

_NO_SUCH_JOB = 99_999_999


@attrs.frozen
class Attaching:
    """A call of ``hub.attach``: when, for which of the jobs by then, and its timeout in seconds."""

    at: float
    timeout: float
    pick: float
    """From 0 to 1: the oldest job to the newest one."""
    is_made_up: bool
    """Whether the token has a job id that the service never returned."""

    async def do(self, environment: Environment, engine: Engine, process: Process) -> None:
        """Attach to the job, and check the result or error."""
        await asyncio.sleep(self.at)
        given = self._token(environment)
        if given is None or engine.is_closed:
            return
        environment.world.count("attach to a job that never was" if self.is_made_up else "attach to a job")
        token = attrs.evolve(given, job_id=_NO_SUCH_JOB) if self.is_made_up else given
        for service in environment.named(token.provider):
            service.attached.add(number_of(token.job_id))
        account = environment.service(given.provider, number_of(given.job_id)).account_of(
            number_of(given.job_id)
        )
        found = _Found(environment, token, is_own=process.has(account))
        try:
            outcome: Result[Solution] | Exception = await engine.attach(str(token), self.timeout, Progress())
        except (HubClosed, JournalError):
            return
        except (ProviderError, ConfigError) as error:
            outcome = error
        # A dead process receives nothing.
        process.refuse_if_dead()
        found.compare(outcome)

    def _token(self, environment: Environment) -> Token | None:
        known = [one.token for one in environment.log.progresses if one.token is not None]
        return read_token(known[int(self.pick * len(known))]) if known else None


def any_attaching(chance: Random) -> Attaching:
    """Return a call at a random time, for a random job."""
    return Attaching(
        at=chance.uniform(0, 90),
        timeout=chance.choice((5.0, 60.0)),
        pick=chance.random(),
        is_made_up=chance.random() < 0.1,
    )


class _Found:
    """A job just before a hub attaches to it. ``is_own`` if its account is certainly the hub's."""

    def __init__(self, environment: Environment, token: Token, *, is_own: bool) -> None:
        self._environment, self._token, self._is_own = environment, token, is_own
        self._service = environment.service(token.provider, number_of(token.job_id))
        alive = environment.journal.read(
            "SELECT id FROM owners WHERE alive_until > :now", now=environment.world.wall()
        )
        row = self._row()
        self._is_worked_on = row is not None and row.owner in {owner for (owner,) in alive}

    def compare(self, outcome: Result[Solution] | Exception) -> None:
        """Check the outcome, and that it is in the journal if this hub had to write it."""
        world = self._environment.world
        if not self._is_right(outcome):
            world.report_violation(f"attaching to {self._token} gave {outcome!r}")
        if isinstance(outcome, Result) and not self._environment.journal.may_fail and self._is_left_open():
            world.report_violation(f"the answer to {self._token} was given, and is not written down")

    def _is_right(self, outcome: Result[Solution] | Exception) -> bool:
        job = self._service.jobs.get(number_of(self._token.job_id))
        match outcome:
            case Result():
                return job is not None and outcome.solution == job.solution
            case JobUnknown():
                return job is None or job.id in self._service.reported_unknown
            case ConfigError():
                return job is None or not self._is_own
            case JobFailed():
                return job is not None and job.solution is None
            case _:
                return isinstance(outcome, JobTimeout)

    def _is_left_open(self) -> bool:
        """Return whether the job was left for other hubs to claim, as if there were no answer.

        A hub that worked on the job before records the answer elsewhere.
        """
        row = self._row()
        has_no_owner = row is not None and row.owner is None and row.state is JobState.CREATED
        return has_no_owner and not self._is_worked_on

    def _row(self) -> JobEntry | None:
        name, job_id = self._token.provider, self._token.job_id
        rows = self._environment.journal.every_job()
        return next((row for row in rows if (row.provider, row.job_id) == (name, job_id)), None)
