"""Asking a service for the answer of one job, at the learned times, until it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from captchahub._accounts import RemoteAccount, translate
from captchahub._clock import now
from captchahub._polling import Durations, next_pause
from captchahub._secrets import mask, secrets_in
from captchahub.errors import (
    AuthenticationError,
    InsufficientBalance,
    JobRefused,
    JobTimeout,
    MalformedReply,
    RateLimited,
    ServiceUnavailable,
)
from captchahub.provider import Job, Pending, Request, Solved

__all__ = ["Asking", "let_go"]

# What a poll can meet without the job being over: it is paid for, and asking again is free. Even a refused
# token is among them, for it was good when the job was created; firewalls answer 403 as well.
_SURVIVED = (
    AuthenticationError,
    InsufficientBalance,
    JobRefused,
    MalformedReply,
    RateLimited,
    ServiceUnavailable,
)


class Asking:
    """The questions for one job; they are free, and safe to repeat.

    ``note`` is told the number of each, from 1, and whether it brought the answer.
    """

    def __init__(
        self, account: RemoteAccount, job: Job, note: Callable[[int, bool], None] | None = None
    ) -> None:
        self.polls = 0
        """How many there were."""
        self._note = note
        self._account = account
        self._job = job
        self._said = "nothing"

    async def until(self, deadline: float) -> Solved:
        """The answer. ``deadline`` is in the loop's time.

        Raises JobTimeout where it is not there by then, JobFailed where there will be none.
        """
        gap = self._account.gap
        begun, asked = now(), None
        pause = self._durations.first_pause(gap=gap, left=deadline - now())
        while pause < deadline - now():
            await asyncio.sleep(pause)
            found, asked_for = await self._ask(deadline)
            if self._note is not None:
                self._note(self.polls, found is not None)
            waited = now() - begun
            if found is not None:
                self._learn(self._durations.with_job(asked_before=asked, done=waited))
                return found
            asked = waited
            pause = next_pause(waited=waited, gap=gap, left=deadline - now(), asked_for=asked_for)
        said = mask(self._said, secrets_in(self._account.settings.own))
        raise JobTimeout(f"not done within {deadline - begun:.1f} s; the service last said {said}")

    async def _ask(self, deadline: float) -> tuple[Solved | None, float | None]:
        """The answer if there is one, and the pause the service demands if it does."""
        self.polls += 1
        settings, provider = self._account.settings, self._account.provider
        try:
            request = translate(settings, Request, provider.poll_job, self._job)
            left = max(0.0, min(settings.poll_timeout, deadline - now()))
            reply = await self._account.transport.send(request, timeout=left)
            state = translate(settings, (Pending, Solved), provider.read_result, self._job, reply)
        except _SURVIVED as error:
            self._said = str(error)
            let_go(error)
            return None, getattr(error, "retry_after", None)
        if isinstance(state, Pending):
            self._said = repr(state.status)
            return None, None
        return state, None

    @property
    def _durations(self) -> Durations:
        return self._account.durations.get(self._job.kind, Durations())

    def _learn(self, durations: Durations) -> None:
        self._account.durations[self._job.kind] = durations


def let_go(error: BaseException) -> None:
    """Keep nothing of an error that is over: where it was raised from a variable, its frames are a cycle."""
    error.__traceback__ = None
