"""An attempt at a local provider."""

from __future__ import annotations

import asyncio
from functools import partial

from captchahub._engine.attempt import AttemptRunner
from captchahub._engine.late_answers import collect_late_local
from captchahub._providers.account import LocalAccount
from captchahub._providers.calls import is_of_contract
from captchahub._support.redaction import mask
from captchahub.errors import JobFailed, JobTimeout
from captchahub.provider import Solved
from captchahub.tasks import Solution, Task


class LocalAttempt(AttemptRunner[LocalAccount]):
    """An attempt at a local provider."""

    async def _work(self) -> Solved:
        prepared = await self._prepare_task()
        self._frame = prepared.frame
        left = self._time_left
        limit = asyncio.timeout(left)
        self.may_have_job = True
        self._permit.turn = None
        # The permit keeps its slot until the thread is free, because nothing can interrupt the engine.
        busy = self._permit.busy = self.account.workers.submit(partial(self._call, prepared.task))
        try:
            async with limit:
                found = Solved(await asyncio.wrap_future(busy))
        except TimeoutError:
            if not limit.expired():
                raise  # the engine's own
            raise JobTimeout(f"no answer within {left:.1f} s") from None
        return self._checked_late(found)

    def _call(self, task: Task[Solution]) -> Solution:
        """Call the engine, in a thread of the account."""
        try:
            return self.account.provider.solve(task)
        except BaseException as error:
            if is_of_contract(error):
                raise
            # Even SystemExit: in this thread it would end nothing but the attempt, and that without a word.
            why = mask(f"{type(error).__name__}: {error}", self.account.secrets)
            raise JobFailed(f"the engine failed: {why}") from error

    @property
    def _ran_out(self) -> bool:
        busy = self._permit.busy
        return busy is not None and not busy.done()

    def _checked_late(self, found: Solved) -> Solved:
        self._answer = self._placed(found, self._frame)
        return self._checked(self._answer)

    def _collect_later(self) -> None:
        busy, late = self._permit.busy, self.late_answer
        if late is not None and busy is not None:
            self._services.background.track(asyncio.ensure_future(collect_late_local(busy, late)))
