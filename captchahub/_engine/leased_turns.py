"""The jobs of the rate of an account that the journal has granted to this hub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any, TypeVar

import attrs

from captchahub._journal.journal import Journal
from captchahub._policy.shared_rate import RateRequest, SpentGrant, jitter, validity
from captchahub._providers.account import RemoteAccount
from captchahub._support.background import BackgroundTasks
from captchahub._support.clock import now
from captchahub.errors import CaptchaHubError
from captchahub.settings import Rate

T = TypeVar("T")


@attrs.define(eq=False)
class _Grant:
    """Jobs that may be created up to a time of the loop."""

    number: int
    left: int
    until: float
    created: int = 0
    last: float = 0.0
    """When the last one was created, by the wall clock."""

    @property
    def is_empty(self) -> bool:
        """Whether there was no job to grant."""
        return not self.left and not self.created

    @property
    def has_expired(self) -> bool:
        """Whether its time is over."""
        return now() > self.until

    @property
    def is_over(self) -> bool:
        """Whether no more job of it may be created."""
        return not self.left or self.has_expired

    @property
    def spent(self) -> SpentGrant:
        """What was created of it."""
        return SpentGrant(self.number, self.created, self.last)


class LeasedTurns:
    """Takes the jobs of a rate from the journal, a few at a time. See :class:`SharedTurns`."""

    def __init__(
        self,
        account: RemoteAccount,
        journal: Journal,
        background: BackgroundTasks,
        chance: Callable[[], float],
        numbers: Iterator[int],
    ) -> None:
        self.account = account
        self._journal = journal
        self._background = background
        self._chance = chance
        self._numbers = numbers
        self._grant: _Grant | None = None
        self._asking: asyncio.Task[float | CaptchaHubError | None] | None = None
        self._expired = 0

    async def take(self, rate: Rate, waiting: int, until: float) -> Callable[[], None]:
        """See :class:`captchahub._providers.limits.SharedTurns`."""
        while self._grant is None or self._grant.is_over:
            # Not cancelled with the attempt, because what is granted must be known.
            if self._asking is None or self._asking.done():
                self._asking = self._started(self._ask(rate, waiting))
            answer = await asyncio.shield(self._asking)
            if isinstance(answer, CaptchaHubError):
                raise answer
            if answer is None:
                continue
            if answer > until:
                raise TimeoutError
            await asyncio.sleep(max(0.0, answer - now()) + jitter(rate, self._chance()))
        grant = self._grant
        grant.left -= 1
        grant.created += 1
        grant.last = self._journal.now
        return lambda: self._take_back(grant)

    def _take_back(self, grant: _Grant) -> None:
        """Count a job of a grant no more, because it was not created."""
        grant.created -= 1
        if self._grant is grant and not grant.has_expired:
            grant.left += 1
            self._started(self._give_back(grant))
        else:
            self._started(self._journal.correct_grant(grant.spent))

    def _started(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        # In a context of its own, because it outlives the attempt that begins it.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._background.track(task)
        return task

    async def _ask(self, rate: Rate, waiting: int) -> float | CaptchaHubError | None:
        """Ask for a grant. If there is none, return when to ask again, in the loop's time, or the error."""
        before, number = self._grant, next(self._numbers)
        lasts = validity(rate, self._expired)
        # As many as were created of the last grant are likely to be wanted in the time of this one.
        is_recent = before is not None and now() < before.until + lasts
        more = before.created if before is not None and is_recent else 0
        spent = () if before is None else (before.spent,)
        has_waited = before is not None and before.is_empty
        request = RateRequest(rate, waiting + more, lasts, has_waited, spent)
        identity = self.account.identity
        try:
            reply = await self._journal.grant_jobs(number, self.account.name, identity, request)
        except CaptchaHubError as error:
            return error
        until = now() + reply.until - self._journal.now
        self._grant = grant = _Grant(number, reply.jobs, until)
        if not reply.jobs:
            return until
        self._expired = self._expired + 1 if grant.is_over else 0
        if grant.left > 1:
            self._started(self._give_back(grant))
        return None

    async def _give_back(self, grant: _Grant) -> None:
        """Give back what is left of a grant when it has expired, or when the hub is closed."""
        try:
            await asyncio.sleep(max(0.0, grant.until - now()) + 0.001)
        finally:
            # The next request gives it back as well.
            if self._grant is grant and grant.left:
                self._grant = None
                await self._journal.correct_grant(grant.spent)
