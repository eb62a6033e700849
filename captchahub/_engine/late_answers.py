"""What becomes of a job in the journal, and collecting the answer of one that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

import attrs

from captchahub._engine.poller import Poller
from captchahub._engine.undelivered import UndeliveredAnswers
from captchahub._journal.journal import JobRow
from captchahub._journal.solutions import pack
from captchahub._policy.error_table import row_for
from captchahub._providers.account import RemoteAccount
from captchahub._providers.calls import translate
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub._support.tracebacks import let_go
from captchahub.errors import CaptchaHubError, JobTimeout, ProviderError, WrongSolution
from captchahub.frames import Frame
from captchahub.jobs import JobEntry, JobState
from captchahub.provider import Job, Solved
from captchahub.tasks import Solution

__all__ = ["LateAnswer", "collect", "collect_late", "collect_late_local", "may_be_elsewhere"]

# How long an answer that nobody waits for is asked for, in seconds: services keep them for minutes.
_PATIENCE = 600.0

# And they have surely forgotten it after so long.
_KEPT_BY_SERVICES = 86_400.0


class LateAnswer:
    """The way of an answer that comes too late for its attempt, to the solve, which may still want it.

    ``check`` gives the checked answer, or raises the ProviderError that speaks against it.
    """

    def __init__(self, check: Callable[[Solved], Solved]) -> None:
        self.coming: asyncio.Future[Solved | WrongSolution] = asyncio.get_running_loop().create_future()
        """Done when there is an answer, right or wrong; cancelled where the solve wants none any more."""
        self._check: Callable[[Solved], Solved] | None = check

    @property
    def is_wanted(self) -> bool:
        """Whether the solve still waits."""
        return self._check is not None

    def checked(self, answer: Solved) -> Solved:
        """The answer as the solve would give it; as it is where nobody waits."""
        return answer if self._check is None else self._check(answer)

    def came(self, outcome: Solved | WrongSolution) -> None:
        """Hand the answer to the solve, or why it can't be right."""
        if not self.coming.done():
            self.coming.set_result(outcome)

    def forget(self) -> None:
        """Want no answer any more, and let go of the task."""
        self._check = None
        self.coming.cancel()


@attrs.frozen
class LateOutcome:
    """What came of a job: its answer, or why there is none.

    ``checked`` is the answer as the solve gives it that has waited for it.
    """

    solved: Solved | None
    error: ProviderError | None
    checked: Solved | None = None


def may_be_elsewhere(entry: JobEntry, moment: float) -> bool:
    """Whether an account that does not know a job need not be the one that has it.

    That is so for a day where the journal does not say whose it is, as older versions wrote it.
    """
    return entry.account is None and moment - entry.ordered_at < _KEPT_BY_SERVICES


async def collect(
    account: RemoteAccount,
    job: Job,
    frame: Frame,
    page: JobRow | None,
    *,
    patience: float = _PATIENCE,
    may_be_elsewhere: bool = False,
    asking: Poller | None = None,
    late: LateAnswer | None = None,
) -> LateOutcome:
    """Ask for a job until it is over, for so many seconds at most, and write down what came of it.

    An answer is written down as one that nobody has got: whoever gives it to somebody says so.
    ``frame`` is where the picture that was sent lies in the task's own; ``page`` is its place in the journal,
    None where another sees to that. A job that ``may_be_elsewhere`` is not over where it is unknown here.
    ``asking`` is the asking for it so far, ``late`` the solve that may still want the answer.
    """
    cost, checked = None, None
    try:
        with account.usage.hold():
            solved = await (asking or Poller(account, job)).wait_until(now() + patience)
        cost = solved.cost
        placed = translate(account.settings, Solution, solved.solution.placed, frame)
        solved = attrs.evolve(solved, solution=placed)
        if late is not None:
            checked = late.checked(solved)
    except CaptchaHubError as caught:
        # What is wrong with a setting, or with the task, says nothing of the job.
        error = caught if isinstance(caught, ProviderError) else ProviderError(str(caught))
        state = row_for(error).job_state(has_job=True)
        if may_be_elsewhere and state is JobState.EXPIRED:
            state = None
        if state is not None and page is not None:
            await page.settle(state, cost=cost, error=f"{type(error).__name__}: {error}")
        return LateOutcome(None, error)
    if page is not None:
        await page.settle(JobState.SOLVED, cost=solved.cost, answer=pack(solved.solution), is_given=False)
    return LateOutcome(solved, None, checked)


async def collect_late(
    account: RemoteAccount,
    job: Job,
    frame: Frame,
    page: JobRow,
    undelivered: UndeliveredAnswers,
    *,
    asking: Poller | None = None,
    late: LateAnswer | None = None,
) -> None:
    """Collect a job whose attempt has ended; what is not over then is left to whoever resumes.

    So is the answer, unless the solve takes it, or has another one.
    """
    collected = await collect(account, job, frame, page, asking=asking, late=late)
    name, error = account.settings.name, collected.error
    if error is None:
        is_wanted = late is not None and late.is_wanted and collected.checked is not None
        undelivered.add(page, is_held=is_wanted)
        if late is not None and collected.checked is not None and is_wanted:
            late.came(collected.checked)
            return
        log.info("%s (job %s) was solved after nobody waited for it", name, job.id)
    elif not isinstance(error, JobTimeout):
        log.info("%s (job %s) ended after nobody waited for it: %s", name, job.id, error)
        if late is not None and isinstance(error, WrongSolution):
            late.came(error)
    await page.release()


async def collect_late_local(busy: Future[Solution], late: LateAnswer) -> None:
    """Wait for the answer of an engine in this process which took longer than its attempt."""
    try:
        late.came(late.checked(Solved(await asyncio.wrap_future(busy))))
    except WrongSolution as error:
        late.came(error)
    except CaptchaHubError as error:
        let_go(error)
