"""Polling a service for the answer of one job, when it is likely to be there, until it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from captchahub._engine.solve_events import SolveEvents
from captchahub._policy.error_table import row_for
from captchahub._policy.polling import first_delay, next_delay, time_for_reply
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub._support.redaction import mask, mask_error
from captchahub._support.tracebacks import drop_traceback
from captchahub.errors import JobTimeout, ProviderError
from captchahub.provider import Job, Pending, Reply, Request, Solved

if TYPE_CHECKING:
    from captchahub._providers.account import RemoteAccount


class Poller:
    """The polls of one job. They are free, and safe to repeat.

    ``events`` reports each of them, or is None if no solve waits for the job. ``replied_in`` is how long the
    service took to reply to the create, in seconds, or None if unknown. ``is_new`` is False for a job that
    was created some time ago: its first poll does not wait for usual jobs, and nothing is learned from it.
    ``chance`` is a random number from 0 to 1, which keeps jobs apart that were created together.
    """

    def __init__(
        self,
        account: RemoteAccount,
        job: Job,
        events: SolveEvents | None = None,
        *,
        replied_in: float | None = None,
        is_new: bool = True,
        chance: float = 1.0,
    ) -> None:
        self.polls = 0
        """The number of polls so far."""
        self.ran_out = False
        """Whether the job took longer than there was time, and did not end for another reason."""
        self.events = events
        self.account = account
        self.job = job
        self._slowest_reply = replied_in
        self._polling = account.speed[job.kind].polling if is_new else None
        self._chance = chance
        self._begun = now()
        self._pending = 0.0
        """The age of the job, in seconds, at which it was last found pending; 0 if it was not."""
        self._has_learned = False
        self._replied: float | None = None
        """When the latest poll ended, in the loop's time."""
        self._requested_delay: float | None = None
        self._last_status = "nothing"
        self._has_logged_status = False

    async def wait_until(self, deadline: float) -> Solved:
        """Return the answer. ``deadline`` is in the loop's time.

        May be called again with a later deadline, and then goes on. Raises JobTimeout if the answer is not
        there by the deadline, or the ProviderError with which the job ended.
        """
        while (at := self._next_poll(deadline)) < deadline:
            await asyncio.sleep(max(0.0, at - now()))
            solved, error = await self._poll(deadline)
            if self.events is not None:
                self.events.polled(
                    self.account.name, self.job.id, self.polls, error, is_done=solved is not None
                )
            if solved is not None:
                self._learn(now() - self._begun)
                return solved
        self.ran_out = True
        self._learn(None)
        status = mask(self._last_status, self.account.secrets)
        raise JobTimeout(f"not done within {deadline - self._begun:.1f} s; the service last said {status}")

    def _next_poll(self, deadline: float) -> float:
        """Return when to poll next, in the loop's time."""
        pace = self.account.pace
        moment = self._begun if self._replied is None else self._replied
        schedule = pace.schedule if self._polling is None else self._polling.schedule(pace, moment)
        margin = time_for_reply(pace.margin, self._slowest_reply)
        if self._replied is None:
            left = deadline - self._begun
            return self._begun + first_delay(pace, schedule, left=left, margin=margin, chance=self._chance)
        return self._replied + next_delay(
            pace,
            schedule,
            age=self._replied - self._begun,
            left=deadline - self._replied,
            requested_delay=self._requested_delay,
            margin=margin,
        )

    def _learn(self, by: float | None) -> None:
        """Learn from the job that its answer was ready ``by`` this age, or that the time ran out."""
        # Once: a job that ran out of time, and whose answer came later, took longer than its time.
        if self._polling is not None and not self._has_learned and (by is not None or self._pending):
            self._has_learned = True
            self._polling.learn(after=self._pending, by=by)

    async def _poll(self, deadline: float) -> tuple[Solved | None, ProviderError | None]:
        """Poll once. Return the answer, or None, and the error that the job survives, or None."""
        # The error is returned and not kept: its frames hold this poller, and a cycle would keep both.
        self.polls += 1
        account, provider = self.account, self.account.provider
        sent = now()
        # If this is cancelled, the service may have got the poll: the next one keeps its distance from it.
        self._replied, self._requested_delay = sent, None
        reply: Reply | None = None
        try:
            request = account.call_plugin(Request, provider.poll_job, self.job)
            timeout = max(0.0, min(account.settings.poll_timeout, deadline - sent))
            reply = await account.transport.send(request, timeout=timeout)
            self._slowest_reply = max(self._slowest_reply or 0.0, now() - sent)
            state = account.call_plugin((Pending, Solved), provider.read_result, self.job, reply)
        except ProviderError as error:
            if not row_for(error).poll_goes_on:
                raise
            mask_error(error, account.secrets)
            drop_traceback(error)
            self._note(str(error), getattr(error, "retry_after", None), reply)
            return None, error
        if isinstance(state, Solved):
            return state, None
        self._pending = sent - self._begun
        self._note(repr(state.status), state.retry_after, reply)
        # Logged once a job: the plugin does not know the status, and it may be the last one of the service.
        if not state.is_known and not self._has_logged_status:
            self._has_logged_status = True
            log.warning(
                "%s (job %s): the service says %s, which the plugin %r does not know; "
                "it is polled again until the job's time is over",
                account.name,
                self.job.id,
                mask(self._last_status, account.secrets),
                account.settings.plugin,
            )
        return None, None

    def _note(self, status: str, delay: float | None, reply: Reply | None) -> None:
        """Note what the service said of the job, and the delay that it or its reply requests."""
        self._replied, self._last_status = now(), status
        self._requested_delay = reply.retry_after if delay is None and reply is not None else delay
