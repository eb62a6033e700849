"""Asking a service for the answer of one job, at the learned times, until it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from captchahub._policy.error_table import row_for
from captchahub._policy.polling import JobDurations, next_delay, time_for_reply
from captchahub._providers.account import RemoteAccount
from captchahub._providers.calls import translate
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub._support.redaction import mask, mask_error, secrets_in
from captchahub._support.tracebacks import let_go
from captchahub.errors import JobTimeout, ProviderError
from captchahub.provider import Job, Pending, Request, Solved

__all__ = ["Poller"]


class Poller:
    """The questions for one job; they are free, and safe to repeat.

    ``note`` is told the number of each, from 1, whether it brought the answer, and what it met instead of a
    reply. ``replied_in`` is how long the service took to reply to the order, in seconds, None where that is
    not known.
    """

    def __init__(
        self,
        account: RemoteAccount,
        job: Job,
        note: Callable[[int, bool, ProviderError | None], None] | None = None,
        *,
        replied_in: float | None = None,
    ) -> None:
        self.polls = 0
        """How many there were."""
        self.ran_out = False
        """Whether the job took longer than there was time, and was not given up for another reason."""
        self.note = note
        self._account = account
        self._job = job
        self._slowest = replied_in
        self._begun = now()
        self._replied: float | None = None
        self._asked_for: float | None = None
        self._last_status = "nothing"
        self._has_told = False
        self._met: ProviderError | None = None

    async def wait_until(self, deadline: float) -> Solved:
        """The answer. ``deadline`` is in the loop's time.

        It can be called again with a later one, and goes on where it left off. Raises JobTimeout where the
        answer is not there by then, JobFailed where there will be none.
        """
        while (at := self._next(deadline)) < deadline:
            await asyncio.sleep(max(0.0, at - now()))
            working = None if self._replied is None else self._replied - self._begun
            found = await self._ask(deadline)
            if self.note is not None:
                self.note(self.polls, found is not None, self._met)
            if found is not None:
                learned = self._durations.with_job(last_pending=working, done=now() - self._begun)
                self._account.durations[self._job.kind] = learned
                return found
        self.ran_out = True
        said = mask(self._last_status, secrets_in(self._account.settings.own))
        raise JobTimeout(f"not done within {deadline - self._begun:.1f} s; the service last said {said}")

    def _next(self, deadline: float) -> float:
        """When to ask next, in the loop's time."""
        gap, least = self._account.pace
        spare = time_for_reply(gap, self._slowest)
        if self._replied is None:
            left = deadline - self._begun
            return self._begun + self._durations.first_delay(
                interval=gap, left=left, min_delay=least, margin=spare
            )
        return self._replied + next_delay(
            age=self._replied - self._begun,
            interval=gap,
            left=deadline - self._replied,
            requested_delay=self._asked_for,
            margin=spare,
        )

    async def _ask(self, deadline: float) -> Solved | None:
        """The answer if there is one. What the service says of the next question is kept."""
        self.polls += 1
        self._met = None
        settings, provider = self._account.settings, self._account.provider
        asked, reply = now(), None
        # It may have got a question of which nobody waits for the reply.
        self._replied, self._asked_for = asked, None
        try:
            request = translate(settings, Request, provider.poll_job, self._job)
            left = max(0.0, min(settings.poll_timeout, deadline - now()))
            reply = await self._account.transport.send(request, timeout=left)
            self._slowest = max(self._slowest or 0.0, now() - asked)
            state = translate(settings, (Pending, Solved), provider.read_result, self._job, reply)
        except ProviderError as error:
            if not row_for(error).poll_goes_on:
                raise
            self._last_status = str(error)
            self._asked_for = getattr(error, "retry_after", None)
            mask_error(error, secrets_in(settings.own))
            let_go(error)
            self._met = error
            state = None
        self._replied = now()
        if isinstance(state, Solved):
            return state
        if state is not None:
            self._last_status = repr(state.status)
            self._asked_for = state.retry_after
            self._tell_unknown(state)
        if self._asked_for is None and reply is not None:
            self._asked_for = reply.retry_after
        return None

    def _tell_unknown(self, state: Pending) -> None:
        """Log a word that the plugin does not know, once a job: it may be the last one of its service."""
        if state.is_known or self._has_told:
            return
        self._has_told = True
        settings = self._account.settings
        said = mask(repr(state.status), secrets_in(settings.own))
        log.warning(
            "%s (job %s): the service says %s, which the plugin %r does not know; it is asked again until "
            "the job's time is over",
            settings.name,
            self._job.id,
            said,
            settings.plugin,
        )

    @property
    def _durations(self) -> JobDurations:
        return self._account.durations.get(self._job.kind, JobDurations())
