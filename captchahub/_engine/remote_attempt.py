"""An attempt at a service: create the job once, poll it until it is done, check the answer."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import cast

from captchahub._engine.attempt import AttemptRunner
from captchahub._engine.earlier_jobs import start_restoring
from captchahub._engine.late_answers import collect_late, may_be_elsewhere
from captchahub._engine.poller import Poller
from captchahub._journal.journal import IsAwaited, JobRow, NewJob
from captchahub._journal.solutions import unpack
from captchahub._policy.job_token import Token
from captchahub._policy.scheduling import backoff
from captchahub._providers.account import RemoteAccount
from captchahub._providers.limits import journal_too_slow
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub.errors import (
    AmbiguousCreate,
    CaptchaHubError,
    ConfigError,
    JobUnknown,
    MalformedReply,
    NotAsked,
    ServiceUnavailable,
    WrongSolution,
)
from captchahub.frames import WHOLE
from captchahub.jobs import JobEntry, JobState
from captchahub.provider import Created, Job, JobId, Request, Solved
from captchahub.tasks import Solution, Task

# A job may be created at most this long after its turn of the rate, in seconds. Later, it takes another turn.
_TURN_LASTS = 0.05


class RemoteAttempt(AttemptRunner[RemoteAccount]):
    """An attempt at a service."""

    _poller: Poller | None = None
    _replied_in: float | None = None
    """How long the service took to reply to the create, in seconds, or None if it has not replied."""

    async def _work(self) -> Solved:
        account, services = self.account, self._services
        prepared = await self._prepare_task()
        # Before the reservation, so that a task that can't be sent leaves no row in the journal.
        request = account.call_plugin(Request, account.provider.create_job, prepared.task)
        if services.journal.has_budget_for(account.name):
            patience = self._time_left - account.least_time
            await account.ensure_price(self._kind, services.background, patience)
        if services.journal.is_shared:
            start_restoring(account, self._kind, services.journal, services.background)
        refused: JobEntry | None = None
        admitted = cast("float", self.began)
        # Each pass but the last finds a job of an equal task, whose answer turns out to be wrong or gone.
        while True:
            if now() > admitted + _TURN_LASTS:
                await self._take_turn()
                admitted = now()
            self._frame = prepared.frame
            reserved = await self._reserve(refused)
            if isinstance(reserved, JobRow) and reserved.found is None:
                self._row = reserved
                await self._record(await self._create(request, prepared.task))
                # Its body is as large as the picture, and the polls can take minutes.
                del request
                # Without an answer Created has an id.
                return self._checked(self._answer or await self._poll(cast("JobId", self.job_id)))
            if isinstance(reserved, JobRow):
                self._solve.taken_over.add(reserved.entry_id)
                refused = cast("JobEntry", reserved.found)
                answer = await self._poll_inherited(reserved, refused)
            else:
                refused, answer = reserved, self._take_over(reserved)
            if answer is not None:
                return answer

    async def _take_turn(self) -> None:
        """Wait for another turn of the rate, because that of the admission was for an earlier moment.

        Raises NotAsked if there is none in time, or if the provider may not be called any more.
        """
        permit = self._permit
        if permit.turn is not None:
            permit.turn.give_back()
            permit.turn = None
        permit.turn = await self.account.admission.wait_for_rate(self._deadline - self.account.least_time)
        refusal = self._permit.refusal()
        if refusal is not None:
            raise refusal

    async def _find_answer(self, until: float) -> Solved | None:
        # Most tasks have no equal. The reservation finds one as well, but it needs a slot and a turn of the
        # rate, and others could use both.
        has_met_one = self._patient_until is not None
        if not self._solve.is_shared or not (has_met_one or self.account.settings.rate):
            return None
        try:
            async with asyncio.timeout_at(until):
                equal = await self._services.journal.look(self._new_job, self._solve.begun, self._awaits())
            self._sent = self.account.sent_options(self._task)
        except (CaptchaHubError, TimeoutError):
            # The attempt fails for the same reason, and says so.
            return None
        if equal is None:
            return None
        if equal.state is not JobState.SOLVED:
            raise self._under_way()
        return self._take_over(equal)

    def _awaits(self) -> IsAwaited:
        """Return the rule that says whether an open job for an equal task is waited for.

        A solve does not wait for jobs that it has given up itself. Once its patience is over, it waits for
        those of others only at their own providers, where a second job would take as long.
        """
        is_patient = self._patient_until is None or now() < self._patient_until
        solve, name = self._solve, self.account.name

        def is_awaited(equal: JobEntry) -> bool:
            is_own = equal.submission == solve.id or equal.id in solve.taken_over
            return not is_own and (is_patient or equal.configured_as == name)

        return is_awaited

    def _under_way(self) -> NotAsked:
        self.waits_for_equal = True
        return NotAsked("a job for an equal task is under way")

    @property
    def _new_job(self) -> NewJob:
        solve, prices = self._solve, self.account.prices
        return NewJob(
            submission=solve.id,
            provider=self.account.name,
            kind=self._kind,
            fingerprint=solve.fingerprint,
            options=solve.options,
            price=prices.of(self._kind),
            price_source=prices.source_of(self._kind),
            currency=prices.currency,
            is_shared=solve.is_shared,
            frame=self._frame,
            label=solve.label,
        )

    async def _reserve(self, refused: JobEntry | None) -> JobRow | JobEntry:
        """Write into the journal that a job is about to be created. See :meth:`Journal.reserve`.

        Raises NotAsked if a job for an equal task is under way.
        """
        # Another program may keep a file locked for longer than the attempt lasts. Memory needs no timer.
        limit = asyncio.timeout_at(self._deadline if self._services.journal.is_shared else None)
        try:
            async with limit:
                reserved = await self._services.journal.reserve(
                    self._new_job, self._solve.begun, self._awaits(), refused, self.account.identity
                )
        except TimeoutError:
            if not limit.expired():
                raise
            raise journal_too_slow() from None
        if reserved is None:
            raise self._under_way()
        return reserved

    async def _create(self, request: Request, task: Task[Solution]) -> Created:
        """Create the job; once more if it is known that the first request did not reach the service."""
        account, has_retried = self.account, False
        while True:
            self.may_have_job = True
            self._permit.turn = None
            sent = now()
            try:
                timeout = max(0.0, min(account.settings.create_timeout, self._deadline - sent))
                reply = await account.transport.send(request, timeout=timeout)
                self._replied_in = now() - sent
                return account.call_plugin(Created, account.provider.read_created, task, reply)
            except ConfigError:
                # The transport reads its settings before it sends anything.
                self.may_have_job = False
                raise
            except (ServiceUnavailable, MalformedReply) as error:
                if not isinstance(error, ServiceUnavailable) or not error.nothing_created:
                    # If the reply can't be read, the cause may be a wrong base_url, so its advice is kept.
                    why = f"{error}; {error.advice}" if isinstance(error, MalformedReply) else str(error)
                    raise AmbiguousCreate(f"the request was sent, but no job id came back: {why}") from error
                self.may_have_job = False
                if has_retried or not await self._may_retry(error):
                    raise
                has_retried = True

    async def _may_retry(self, error: ServiceUnavailable) -> bool:
        """Wait for the second try to create the job. Return False if there is none."""
        pause = backoff(1, error, chance=self._services.chance())
        latest = self._deadline - self.account.least_time
        # A service that has replied got the request, and would say the same again in a moment; others can be
        # called meanwhile. A probe is one try, so that a dead service costs each cooldown no more than that.
        if self._replied_in is not None or self._permit.given.is_probe or now() + pause > latest:
            return False
        self._solve.events.retrying(self.account.name, error)
        await asyncio.sleep(pause)
        try:
            await self.account.admission.wait_for_rate(latest)
        except NotAsked:
            return False
        return self._permit.refusal() is None

    async def _record(self, created: Created) -> None:
        """Write down the job that the service has created."""
        self.job_id = created.job_id
        if created.solution is not None:
            # Before anything else is waited for, because a cancellation then would lose it.
            self._answer = self._placed(Solved(created.solution, created.cost), self._frame)
        if created.job_id is not None and self._row is not None:
            await self._row.mark_created(created.job_id)
            self._solve.progress.job = self._token
            price = self.account.prices.of(self._kind)
            self._solve.events.job_created(self.account.name, created.job_id, price)
        self._permit.job_created()

    async def _poll(self, job_id: JobId, *, is_new: bool = True) -> Solved:
        job = Job(job_id, self._kind)
        self._poller = Poller(
            self.account,
            job,
            self._solve.events,
            replied_in=self._replied_in,
            is_new=is_new,
            chance=self._services.chance(),
        )
        self._answer = self._placed(await self._poller.wait_until(self._deadline), self._frame)
        return self._answer

    def _take_over(self, equal: JobEntry) -> Solved | None:
        """Return the checked answer of an equal task, which is paid for, or None if it is refused here."""
        solution = unpack(self._task.solution_type, equal.answer or {})
        if solution is None:
            return None
        self._shared, self.job_id = equal, equal.job_id
        self._answer = Solved(solution, Decimal(0))
        try:
            return self._checked(self._answer)
        except WrongSolution:
            # It was not checked before, and this provider is not the one that was wrong.
            self._shared = self.job_id = self._answer = None
            self._was_refused = False
            return None

    async def _poll_inherited(self, row: JobRow, found: JobEntry) -> Solved | None:
        """Return the checked answer of a dead hub's job for an equal task, or None if the job is gone."""
        self._row, self.may_have_job, self._frame = row, True, found.frame
        job_id = self.job_id = cast("JobId", found.job_id)
        self._solve.progress.job = self._token
        try:
            return self._checked(await self._poll(job_id, is_new=False))
        except JobUnknown as error:
            # The next job has a row of its own.
            log.info("%s: %s, which was left behind: a new job is created", self.account.name, error)
            self._solve.progress.job = None
            if may_be_elsewhere(found, self._services.journal.now):
                await row.release()
            else:
                await row.settle(JobState.EXPIRED, error=f"{type(error).__name__}: {error}")
            self._row = self.job_id = self._poller = None
            self.may_have_job = False
            if self._time_left < self.account.least_time:
                raise
        # A new job follows. Another attempt may have found meanwhile that the provider is out or cools down.
        refusal = self._permit.refusal()
        if refusal is not None:
            raise refusal
        return None

    @property
    def _polls(self) -> int:
        return 0 if self._poller is None else self._poller.polls

    @property
    def _token(self) -> Token | None:
        if self.job_id is None:
            return None
        fingerprint, digests = self._solve.fingerprint, self.account.short_digests
        return Token(self.account.name, self._kind, self.job_id, fingerprint, self._frame, digests)

    @property
    def _ran_out(self) -> bool:
        return self._poller is not None and self._poller.ran_out

    def _checked_late(self, found: Solved) -> Solved:
        # collect() has moved it into the task's own picture.
        self._answer = self._placed(found, WHOLE)
        return self._checked(self._answer)

    def _collect_later(self) -> None:
        if self._row is None or self.job_id is None:
            return
        poller = self._poller or Poller(self.account, Job(self.job_id, self._kind))
        # The events of the solve are over.
        poller.events = None
        collecting = collect_late(poller, self._frame, self._row, self._solve.undelivered, self.late_answer)
        self._services.background.track(asyncio.ensure_future(collecting))
