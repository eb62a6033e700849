"""What becomes of a job in the journal, and collecting the answer of one that nobody waits for."""

from __future__ import annotations

import attrs

from captchahub._accounts import RemoteAccount, translate
from captchahub._answers import pack
from captchahub._asking import Asking
from captchahub._books import Page
from captchahub._clock import now
from captchahub._journal_schema import JobState
from captchahub._log import log
from captchahub.errors import (
    AuthenticationError,
    CaptchaHubError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    JobUnknown,
    PluginFault,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
    TaskRefused,
    UnsupportedTask,
    WrongSolution,
)
from captchahub.frames import Frame
from captchahub.jobs import JobEntry
from captchahub.provider import Job, Solved
from captchahub.tasks import Solution

__all__ = ["Unread", "collect", "end_of", "harvest", "may_be_elsewhere"]

# How long an answer that nobody waits for is asked for, in seconds: services keep them for minutes.
_PATIENCE = 600.0
# And they have surely forgotten it after so long.
_KEPT_BY_SERVICES = 86_400.0

_OF_A_JOB: tuple[tuple[type[ProviderError], JobState], ...] = (
    (JobUnknown, JobState.EXPIRED),
    (JobFailed, JobState.FAILED),
    (WrongSolution, JobState.FAILED),
    (PluginFault, JobState.FAILED),
)
_OF_AN_ORDER: tuple[tuple[type[ProviderError], JobState], ...] = (
    (AuthenticationError, JobState.REFUSED),
    (InsufficientBalance, JobState.REFUSED),
    (JobRefused, JobState.REFUSED),
    (RateLimited, JobState.REFUSED),
    (TaskRefused, JobState.REFUSED),
    (UnsupportedTask, JobState.REFUSED),
    (JobFailed, JobState.FAILED),
    # The answer came with the order.
    (WrongSolution, JobState.FAILED),
)


def end_of(error: ProviderError | None, *, has_job: bool) -> JobState | None:
    """What a job is after its attempt ended; None where it is not over, so that its answer can be collected.

    What nobody can tell of an order is ambiguous.
    """
    if error is None:
        return JobState.SOLVED
    if has_job:
        return next((state for kind, state in _OF_A_JOB if isinstance(error, kind)), None)
    if isinstance(error, ServiceUnavailable) and error.nothing_created:
        return JobState.NOT_SENT
    return next((state for kind, state in _OF_AN_ORDER if isinstance(error, kind)), JobState.AMBIGUOUS)


class Unread:
    """The answers that came too late for a solve: once it has another one, nobody is missing them."""

    def __init__(self) -> None:
        self._pages: list[Page] = []
        self._is_answered = False

    def add(self, page: Page) -> None:
        """One more."""
        if self._is_answered:
            page.give()
        else:
            self._pages.append(page)

    def answered(self) -> None:
        """The solve has its answer."""
        self._is_answered = True
        while self._pages:
            self._pages.pop().give()


@attrs.frozen
class Harvested:
    """What came of a job: its answer, or why there is none."""

    solved: Solved | None
    error: ProviderError | None


def may_be_elsewhere(entry: JobEntry, moment: float) -> bool:
    """Whether an account that does not know a job need not be the one that has it.

    That is so for a day where the journal does not say whose it is, as older versions wrote it.
    """
    return entry.account is None and moment - entry.ordered_at < _KEPT_BY_SERVICES


async def collect(
    account: RemoteAccount,
    job: Job,
    frame: Frame,
    page: Page | None,
    *,
    patience: float = _PATIENCE,
    may_be_elsewhere: bool = False,
) -> Harvested:
    """Ask for a job until it is over, for so many seconds at most, and write down what came of it.

    An answer is written down as one that nobody has got: whoever gives it to somebody says so.
    ``frame`` is where the picture that was sent lies in the task's own; ``page`` is its place in the journal,
    None where another sees to that. A job that ``may_be_elsewhere`` is not over where it is unknown here.
    """
    try:
        with account.usage.by_one():
            solved = await Asking(account, job).until(now() + patience)
        placed = translate(account.settings, Solution, solved.solution.placed, frame)
        solved = attrs.evolve(solved, solution=placed)
    except CaptchaHubError as caught:
        # What is wrong with a setting, or with the task, says nothing of the job.
        error = caught if isinstance(caught, ProviderError) else ProviderError(str(caught))
        state = end_of(error, has_job=True)
        if may_be_elsewhere and state is JobState.EXPIRED:
            state = None
        if state is not None and page is not None:
            await page.settle(state, error=f"{type(error).__name__}: {error}")
        return Harvested(None, error)
    if page is not None:
        await page.settle(JobState.SOLVED, cost=solved.cost, answer=pack(solved.solution), is_given=False)
    return Harvested(solved, None)


async def harvest(account: RemoteAccount, job: Job, frame: Frame, page: Page, unread: Unread) -> None:
    """Collect a job that nobody waits for; what is not over then is left to whoever resumes.

    So is the answer, unless the solve has another one.
    """
    collected = await collect(account, job, frame, page)
    name = account.settings.name
    if collected.error is None:
        log.info("%s (job %s) was solved after nobody waited for it", name, job.id)
        unread.add(page)
    elif not isinstance(collected.error, JobTimeout):
        log.info("%s (job %s) ended after nobody waited for it: %s", name, job.id, collected.error)
    await page.hand_over()
