"""Collecting the answers of jobs that no attempt waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

import attrs

from captchahub._journal.solutions import pack
from captchahub._policy.error_table import row_for
from captchahub._providers.calls import as_provider_error
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub.errors import CaptchaHubError, JobTimeout, ProviderError, WrongSolution
from captchahub.frames import Frame
from captchahub.jobs import JobEntry, JobState
from captchahub.provider import Solved
from captchahub.tasks import Solution

if TYPE_CHECKING:
    from captchahub._engine.poller import Poller
    from captchahub._journal.journal import JobRow


# How long a job is polled after its attempt has ended, in seconds: services keep answers for minutes.
_PATIENCE = 600.0

# No service keeps an answer for longer than this, in seconds.
_KEPT_BY_SERVICES = 86_400.0


class UndeliveredAnswers:
    """The answers of one solve that came too late for their attempts.

    Once the solve has an answer, the others are marked as delivered, because no caller waits for them. If it
    ends without one, they stay for :meth:`captchahub.hub.Hub.resume`.
    """

    def __init__(self) -> None:
        self._rows: list[JobRow] = []
        self._held: list[JobRow] = []
        self._has_answer = False

    def add(self, row: JobRow, *, is_held: bool = False) -> None:
        """Add an answer; ``is_held`` if the solve looks at it, so that no other hub may take it meanwhile."""
        if self._has_answer:
            row.mark_delivered()
            return
        self._rows.append(row)
        if is_held:
            self._held.append(row)

    def answered(self) -> None:
        """Mark all as delivered, because the solve has its answer."""
        self._has_answer = True
        self._held.clear()
        while self._rows:
            self._rows.pop().mark_delivered()

    async def release(self) -> None:
        """Leave to other hubs the answers that a solve without an answer has looked at."""
        while self._held:
            await self._held.pop().release()


class LateAnswer:
    """Brings an answer that came too late for its attempt to the solve, which may still want it.

    ``check`` returns the checked answer, or raises the ProviderError that refuses it.
    """

    def __init__(self, check: Callable[[Solved], Solved]) -> None:
        self.future: asyncio.Future[Solved | WrongSolution] = asyncio.get_running_loop().create_future()
        """Done when there is an answer, right or wrong; cancelled if the solve wants none any more."""
        self._check: Callable[[Solved], Solved] | None = check

    def checked(self, answer: Solved) -> Solved:
        """Return the answer as the solve would return it, or as it is if the solve does not wait."""
        return answer if self._check is None else self._check(answer)

    def came(self, outcome: Solved | WrongSolution) -> None:
        """Bring the answer to the solve, or the error that refuses it."""
        if not self.future.done():
            self.future.set_result(outcome)

    def forget(self) -> None:
        """Want no answer any more, and release the task, which the check holds."""
        self._check = None
        self.future.cancel()


@attrs.frozen
class JobOutcome:
    """How a job ended: its answer, or why there is none.

    ``checked`` is the answer as the waiting solve returns it, or None if no solve waits.
    """

    solved: Solved | None
    error: ProviderError | None
    checked: Solved | None = None


def may_be_elsewhere(entry: JobEntry, moment: float) -> bool:
    """Return whether a job may be of another account than the one that does not know it.

    Journals of older versions do not say whose a job is. After a day the service has forgotten it anyway.
    """
    return entry.account is None and moment - entry.ordered_at < _KEPT_BY_SERVICES


async def collect(
    poller: Poller,
    frame: Frame,
    row: JobRow | None,
    *,
    may_be_elsewhere: bool = False,
    patience: float = _PATIENCE,
    late: LateAnswer | None = None,
) -> JobOutcome:
    """Poll a job until it is over, for at most ``patience`` seconds, and settle its row.

    ``frame`` is where the picture that was sent lies in the task's own. ``row`` is None if another hub
    settles it. If the job ``may_be_elsewhere``, it is not over when this account does not know it. ``late``
    brings the answer to the solve that may still want it.

    The answer is recorded as undelivered; the caller that delivers it records that.
    """
    account = poller.account
    cost, checked = None, None
    try:
        with account.usage:
            solved = await poller.wait_until(now() + patience)
        cost = solved.cost
        placed = account.call_plugin(Solution, solved.solution.placed, frame)
        solved = attrs.evolve(solved, solution=placed)
        if late is not None:
            checked = late.checked(solved)
    except CaptchaHubError as caught:
        error = as_provider_error(caught)
        state = row_for(error).job_state(has_job=True)
        if state is JobState.EXPIRED and may_be_elsewhere:
            state = None
        if state is not None and row is not None:
            await row.settle(state, cost=cost, error=f"{type(error).__name__}: {error}")
        return JobOutcome(None, error)
    if row is not None:
        await row.settle(JobState.SOLVED, cost=solved.cost, answer=pack(solved.solution), is_given=False)
    return JobOutcome(solved, None, checked)


async def collect_late(
    poller: Poller, frame: Frame, row: JobRow, undelivered: UndeliveredAnswers, late: LateAnswer | None
) -> None:
    """Collect a job whose attempt has ended. A job that stays open is released to other hubs.

    So is its answer, unless the solve takes it or has another one.
    """
    outcome = await collect(poller, frame, row, late=late)
    name, job_id, error = poller.account.name, poller.job.id, outcome.error
    if error is None:
        # The solve may have stopped waiting while the row was written.
        if late is not None and not late.future.done() and outcome.checked is not None:
            undelivered.add(row, is_held=True)
            late.came(outcome.checked)
            return
        undelivered.add(row)
        log.info("%s (job %s) was solved after its attempt had ended", name, job_id)
    elif not isinstance(error, JobTimeout):
        log.info("%s (job %s) ended after its attempt had ended: %s", name, job_id, error)
        if late is not None and isinstance(error, WrongSolution):
            late.came(error)
    await row.release()


async def collect_late_local(busy: Future[Solution], late: LateAnswer) -> None:
    """Wait for the answer of a local provider which takes longer than its attempt."""
    try:
        late.came(late.checked(Solved(await asyncio.wrap_future(busy))))
    except WrongSolution as error:
        late.came(error)
    except CaptchaHubError as error:
        log.debug("the engine failed after its attempt was over: %s", error)
