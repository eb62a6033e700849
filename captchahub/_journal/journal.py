"""The journal of a hub: every job has its row here before a byte of it is sent, and its price is reserved.

This module is the only way into the journal for the rest of the package.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import attrs

from captchahub._journal import (
    claims,
    health_table,
    job_times_table,
    jobs_table,
    ledger_table,
    rate_grants_table,
)
from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.database import Connection, Database, Listener, OutcomeUnknown, T
from captchahub._journal.grouped_work import GroupedWork
from captchahub._journal.hub_accounts import HubAccounts
from captchahub._journal.liveness import LEASE, ProcessLock, expire_dead_owners, heartbeat, sign_off
from captchahub._journal.reservations import IsAwaited, Reservation, Reserved, Reserver
from captchahub._journal.rows import JobFilter, NewJob
from captchahub._journal.slot_leases import SlotLeases
from captchahub._journal.sqlite import SqliteDatabase
from captchahub._journal.sqlite_listener import SqliteListener
from captchahub._journal.watchers import Watchers
from captchahub._journal.writer import DatabaseWriter, PendingWrites, Writer
from captchahub._policy.account_identity import AccountIdentity
from captchahub._policy.budgets import BudgetScope, period_of
from captchahub._policy.job_token import Token
from captchahub._policy.refusals import Refusals
from captchahub._policy.shared_rate import RateReply, RateRequest, SpentGrant
from captchahub._policy.shared_slots import SlotRequest
from captchahub._support.background import BackgroundTasks
from captchahub._support.log import log
from captchahub.errors import (
    CaptchaHubError,
    JournalError,
    NotOffered,
)
from captchahub.jobs import BudgetStatus, JobEntry, JobState, Period, Spend
from captchahub.provider import JobId, Secret
from captchahub.results import HealthEntry
from captchahub.settings import KEPT_IN_MEMORY, Budget, HubSettings, JournalSettings

if TYPE_CHECKING:
    from captchahub._policy.health_record import HealthRecord

__all__ = ["ClaimedJob", "IsAwaited", "JobFilter", "JobRow", "Journal", "NewJob", "Writer", "open_journal"]

# Old jobs are looked for this often, in seconds: they are kept for days, so an hour more does not matter.
_PRUNE_INTERVAL = 3600.0

# The most jobs deleted in one transaction, because the reservation in it waits.
_PRUNE_LIMIT = 1000


LearnedTimes = Mapping[tuple[AccountIdentity, str], str]
"""What was learned of how long jobs take, by account and kind of task."""

TakeUnsaved = Callable[[], LearnedTimes]


@attrs.frozen
class ClaimedJob:
    """A job that was left behind, and its account, or None if that is unknown."""

    entry: JobEntry
    identity: AccountIdentity | None


def open_journal(
    settings: HubSettings,
    identities: Mapping[str, AccountIdentity],
    background: BackgroundTasks,
    clock: Callable[[], float],
    *,
    take_unsaved: TakeUnsaved,
    writer: Writer | None = None,
) -> Journal:
    """Return the journal of a hub with these settings. Raises JournalError if it cannot be opened.

    ``identities`` are the accounts of its providers; ``clock`` is the wall clock, in seconds since 1970.
    ``take_unsaved`` returns what the hub has learned of how long jobs take since its last call.
    Tests and the simulator pass a ``writer`` of their own, which several hubs may share.
    """
    path = settings.journal.path if writer is None else None
    is_shared = writer is not None or settings.journal.place is not None
    listener: Listener | None = None
    watchers = Watchers()
    # Before the lock, because it explains what is wrong with the file or its folder.
    if writer is None and settings.journal.url is not None:
        database, clock, listener = _open_postgres(settings.journal, settings.journal.url, clock, watchers)
        writer = DatabaseWriter(database, thread=True)
    elif writer is None:
        writer = DatabaseWriter(SqliteDatabase(path), thread=path is not None)
        listener = None if path is None else SqliteListener(writer, watchers)
    lock = ProcessLock(path)
    journal = Journal(
        writer,
        lock,
        background,
        clock,
        take_unsaved,
        watchers=watchers,
        is_shared=is_shared,
        listener=listener,
    )
    journal.follow(settings, identities)
    return journal


def _open_postgres(
    settings: JournalSettings, url: Secret, clock: Callable[[], float], watchers: Watchers
) -> tuple[Database, Callable[[], float], Listener | None]:
    """Return the database at an address, the clock of its server, and what learns of ended jobs there."""
    try:
        # Imported here, because it is an extra.
        from captchahub._journal.postgres import PostgresDatabase  # noqa: PLC0415
    except ImportError as error:
        raise JournalError(
            f"journal {settings.place}: it needs a package that can't be imported ({error}); no job was "
            "created. Run: pip install 'captchahub[postgres]'"
        ) from error
    database = PostgresDatabase(url, schema=settings.schema, pooler=settings.pooler, clock=clock)
    return database, database.now, database.listener(watchers)


class Journal:
    """The journal as one hub uses it. See :func:`open_journal`; :meth:`follow` completes it.

    ``is_shared`` is False if no other hub can see it, as in memory. ``watchers`` are called when a job of
    this hub has ended, and by ``listener`` when one of another hub has; it is None if nothing says that.
    """

    def __init__(
        self,
        writer: Writer,
        lock: ProcessLock,
        background: BackgroundTasks,
        clock: Callable[[], float],
        take_unsaved: TakeUnsaved,
        *,
        watchers: Watchers,
        is_shared: bool,
        listener: Listener | None = None,
    ) -> None:
        self.owner = uuid.uuid4().hex
        """What this hub is called in the journal."""
        self.pending = PendingWrites(writer)
        """Where to write what must not get lost."""
        self._writer = writer
        self._lock = lock
        self._slot_leases = SlotLeases(
            self.owner, lambda connection, moment: expire_dead_owners(connection, lock, moment)
        )
        self._background = background
        self._clock = clock
        self._take_unsaved = take_unsaved
        self.watchers = watchers
        """The solves that wait for jobs of equal tasks."""
        self._listener = listener
        self.is_shared = is_shared
        """Whether other hubs can see it. A journal in memory never waits for its writes."""
        self._is_signed_on = False
        self._health: Mapping[str, HealthRecord] | None = None
        self._heartbeat: asyncio.Task[None] | None = None
        self._accounts = HubAccounts(writer)
        self._reserver = Reserver(lock)
        self._keep = math.inf
        self._pruned = -math.inf

    @property
    def now(self) -> float:
        """The time of the wall clock, in seconds since 1970."""
        return self._clock()

    def follow(self, settings: HubSettings, identities: Mapping[str, AccountIdentity]) -> None:
        """Keep to these budgets, times and accounts from now on."""
        self._accounts.replace(identities)
        of_hub = [] if settings.budget is None else [BudgetScope("the hub", None, settings.budget)]
        further = [
            BudgetScope(one.name, None, Budget(one.limit, Period.TOTAL), one.spent_before)
            for one in settings.further_budgets
        ]
        of_providers = [
            BudgetScope(name, name, provider.budget)
            for name, provider in settings.providers.items()
            if provider.budget is not None
        ]
        scopes = [*of_hub, *further, *of_providers]
        self._reserver = Reserver(self._lock, scopes, settings.cache, settings.reuse_since)
        keep = settings.journal.keep
        # A journal in memory ends with the hub, and must not fill the memory until then.
        keep = keep if self.is_shared else min(keep, KEPT_IN_MEMORY)
        self._keep = max(keep, settings.cache)

    def has_budget_for(self, provider: str) -> bool:
        """Return whether what a provider costs is limited."""
        return any(scope.provider in (None, provider) for scope in self._reserver.scopes)

    async def look(self, job: NewJob, begun: float, is_awaited: IsAwaited) -> JobEntry | None:
        """Return the job that answers a task or has to be waited for, or None. See :meth:`reserve`.

        It writes nothing, and takes nothing over. Raises JournalError.
        """

        def work(connection: Connection) -> JobEntry | None:
            if not jobs_table.with_equal(connection, [job.fingerprint]):
                return None
            own, one = self._accounts.look_up(connection), Reservation(job, begun, is_awaited, refused=None)
            return self._reserver.find_equal(connection, own, one, self._clock())

        equal = await self._writer.read(work)
        if equal is not None and equal.state is not JobState.SOLVED:
            self._listen()
        return equal

    def _listen(self) -> None:
        if self._listener is not None:
            self._listener.listen()

    async def reserve(
        self,
        job: NewJob,
        begun: float,
        is_awaited: IsAwaited,
        refused: JobEntry | None = None,
        identity: AccountIdentity | None = None,
    ) -> JobRow | JobEntry | None:
        """Write down that a job is about to be sent, and reserve its price.

        If an equal shared task was solved since the solve began, or within the time of the cache, return that
        job instead, and nothing need be sent. If a dead hub has created an equal one, return its row, and the
        service is polled for that one. Return None if a living hub works on an equal one that ``is_awaited``,
        and nothing may be sent.

        ``refused`` is a job whose answer was found to be wrong, and which is shared no more. ``identity`` is
        the account. Raises BudgetExceeded, PriceUnknown or JournalError; nothing may be sent then.
        """
        opened = await self._write_or_undo(
            self._accounts.write_grouped(
                self._reserve_all,
                Reservation(job, begun, is_awaited, refused),
                self._accounts.including(job.provider, identity),
            ),
            partial(self._give_back, submission=job.submission),
        )
        if opened is None:
            self._listen()
            return None
        if isinstance(opened, int):
            return JobRow(self, opened, job.fingerprint, price=job.price)
        is_solved = opened.state is JobState.SOLVED
        return opened if is_solved else JobRow(self, opened.id, job.fingerprint, opened)

    def _reserve_all(
        self, connection: Connection, reservations: Sequence[tuple[OwnAccounts, Reservation]]
    ) -> Sequence[Reserved | Exception]:
        """Return for each reservation the id of its new job, what was found for it, or why it is refused."""
        # In the transaction, which has read the server's clock: the one of this machine may have jumped.
        moment = self._clock()
        done: list[Reserved | Exception] = []
        for own, some in groupby(reservations, key=itemgetter(0)):
            if not done:
                self._sign_on(connection, own, moment)
            items = [one for _, one in some]
            done += self._reserver.reserve(connection, own, items, owner=self.owner, now=moment)
        return done

    async def _give_back(self, taken: int | JobEntry | None, submission: str = "") -> None:
        """Undo what a caller never learned of: the reservation of a job, or taking one over."""
        if isinstance(taken, int):
            begun = self.now

            def withdraw(connection: Connection) -> None:
                entry = jobs_table.get(connection, taken)
                # If the outcome of the commit is unknown, the id may be that of a later job by now.
                if entry is not None and entry.submission == submission and entry.ordered_at <= begun:
                    jobs_table.settle(connection, taken, JobState.NOT_SENT, owner=self.owner, now=self.now)

            await self.pending.write(withdraw, "that a job was not sent")
        elif taken is not None and taken.state is not JobState.SOLVED:
            await self.release([taken.id])

    async def claim(self, limit: int) -> Sequence[ClaimedJob]:
        """Take over up to ``limit`` jobs that were left behind at the hub's accounts."""
        # A reload may replace them meanwhile: a job goes with the account that it was claimed for.
        identities = self._accounts.identities

        def work(connection: Connection, own: OwnAccounts) -> Sequence[ClaimedJob]:
            moment = self._clock()
            self._sign_on(connection, own, moment)
            expire_dead_owners(connection, self._lock, moment)
            found = map(own.named, claims.claim(connection, self.owner, moment, limit, own))
            return [ClaimedJob(entry, _identity_of(entry, identities)) for entry in found]

        return await self._write_or_undo(
            self._accounts.write(work, identities),
            lambda claimed: self.release(one.entry.id for one in claimed),
        )

    async def claim_one(self, job: Token, provider: str, identity: AccountIdentity) -> JobEntry | None:
        """Return the job of a token if it is solved, or take it over if it is created.

        Return None if it is neither, or if a living hub works on it.
        """

        def work(connection: Connection, own: OwnAccounts) -> JobEntry | None:
            moment = self._clock()
            self._sign_on(connection, own, moment)
            expire_dead_owners(connection, self._lock, moment)
            return claims.claim_one(connection, job, provider, own, owner=self.owner, now=moment)

        return await self._write_or_undo(
            self._accounts.write(work, self._accounts.including(provider, identity)), self._give_back
        )

    async def release(self, ids: Iterable[int]) -> None:
        """Leave created jobs, which this hub polls no more, to any hub that resumes."""
        releasing = list(ids)
        if releasing:
            work = partial(claims.release, ids=releasing, owner=self.owner)
            await self.pending.write(work, "that jobs are left to other hubs")

    def mark_delivered(self, entry_id: int) -> asyncio.Task[None]:
        """Write down in the background that a caller has received the answer of a job."""
        work = partial(jobs_table.mark_delivered, entry_id=entry_id)
        return self._background.start(self.pending.write(work, "that an answer was received"))

    async def report(self, provider: str, job_id: JobId, *, correct: bool) -> None:
        """Share an answer that was found to be wrong no more.

        Raises NotOffered if the job is known to be of another account than the provider is now.
        """

        def work(connection: Connection, own: OwnAccounts) -> bool:
            found = jobs_table.jobs_of(connection, provider, job_id, own)
            for entry_id in () if correct else found:
                jobs_table.stop_sharing(connection, entry_id)
            return bool(found) or not jobs_table.is_known(connection, provider, job_id)

        identities = self._accounts.identities
        may_be_its_own = await self._accounts.write(work, identities)
        if provider in identities and not may_be_its_own:
            raise NotOffered(
                f"job {job_id} is of another account than {provider!r} is now, and only that can report on it"
            )

    async def resolve(self, entry: JobEntry, state: JobState, cost: Decimal | None) -> None:
        """Settle a job as a person says that it ended. Raises ValueError if it cannot have ended so."""

        def work(connection: Connection) -> None:
            if jobs_table.settle(
                connection, entry.id, state, owner=None, now=self._clock(), cost=cost, error=entry.error
            ):
                return
            found = jobs_table.get(connection, entry.id)
            if found is None:
                raise ValueError(f"job {entry.id} is not in this journal (any more)")
            if found.state is not entry.state:
                raise ValueError(f"job {entry.id} was settled meanwhile: it is {found.state.value}")
            raise ValueError(f"a job that is {entry.state.value} can't be settled as {state.value} by hand")

        await self._writer.write(work)

    async def jobs(self, wanted: JobFilter) -> Sequence[JobEntry]:
        """Return the newest jobs that are wanted, the newest one first."""
        return await self._read_jobs(lambda connection: jobs_table.newest_jobs(connection, wanted))

    async def job(self, entry_id: int) -> JobEntry | None:
        """Return one job, or None if it is not in the journal (any more)."""

        def read(connection: Connection) -> Sequence[JobEntry]:
            found = jobs_table.get(connection, entry_id)
            return [] if found is None else [found]

        return next(iter(await self._read_jobs(read)), None)

    async def _read_jobs(self, read: Callable[[Connection], Sequence[JobEntry]]) -> Sequence[JobEntry]:
        """Return jobs for a person to look at, with the names that this hub has for their accounts."""

        def expire(connection: Connection, _own: OwnAccounts) -> None:
            expire_dead_owners(connection, self._lock, self._clock())

        try:
            # With the accounts, so that one which has just been given a name is found by it from now on.
            await self._accounts.write(expire, self._accounts.identities)
        except JournalError as error:
            # The jobs can be read all the same from a disk that is full or a file that is locked.
            log.warning("what dead hubs were about to send is not marked as ambiguous: %s", error)

        def work(connection: Connection) -> Sequence[JobEntry]:
            own = self._accounts.look_up(connection)
            return [own.named(entry) for entry in read(connection)]

        return await self._writer.read(work)

    async def spend(self, zone: tzinfo, since: float) -> list[Spend]:
        """Return what the jobs since a time cost, by day of a zone, provider, kind and account."""
        return await self._writer.read(partial(ledger_table.spend, zone=zone, since=since))

    async def budgets(self) -> list[BudgetStatus]:
        """Return what is spent of each budget in its present period."""
        moment = self._clock()

        def work(connection: Connection) -> list[BudgetStatus]:
            own = self._accounts.look_up(connection)
            found: list[BudgetStatus] = []
            for scope in self._reserver.scopes:
                since, end = period_of(scope.budget, moment)
                spent = scope.counted(ledger_table.spent(connection, own, scope.provider, since))
                until = None if end is None else datetime.fromtimestamp(end, scope.budget.zone)
                budget = scope.budget
                found.append(BudgetStatus(scope.provider, budget.limit, budget.per, spent, until))
            return found

        return await self._writer.read(work)

    async def record_health(self, records: Mapping[str, HealthRecord]) -> None:
        """Write down which providers of this hub are not healthy, by name, for other hubs to read.

        If that fails, it is written with the next heartbeat.
        """
        self._health = records
        self._start_heartbeat()

        work = partial(self._sign_on_with_health, moment=self._clock())
        try:
            await self._accounts.write(work, self._accounts.identities)
        except CaptchaHubError as error:
            log.warning("the health of the providers is written to the journal later: %s", error)

    async def health(self) -> list[HealthEntry]:
        """Return what living hubs have recorded of their providers. See :func:`health_table.present`."""

        def work(connection: Connection) -> list[HealthEntry]:
            own = self._accounts.look_up(connection)
            return health_table.present(connection, own, self._clock(), self._lock.is_free)

        return await self._writer.read(work)

    async def lease_slots(
        self, lease: int, provider: str, identity: AccountIdentity, request: SlotRequest
    ) -> tuple[int, Refusals]:
        """Return how many slots of an account this hub may use from now on, and what others know of it.

        ``lease`` is the hub's own number of what it holds; what was there of it is replaced. Raises
        JournalError.
        """
        # Others must not take this hub for dead while it holds slots.
        self._start_heartbeat()

        def work(connection: Connection, own: OwnAccounts) -> tuple[int, Refusals]:
            moment = self._clock()
            renew = self._slot_leases.renew
            slots, is_written = renew(connection, own, provider, request, lease=lease, now=moment)
            if is_written:
                # A hub that finds all as it was writes nothing, so that the disk need not be waited for.
                self._sign_on(connection, own, moment)
            return slots, health_table.refusals(connection, own, provider, owner=self.owner, now=moment)

        return await self._accounts.write(work, self._accounts.including(provider, identity))

    async def grant_jobs(
        self, number: int, provider: str, identity: AccountIdentity, request: RateRequest
    ) -> RateReply:
        """Return how many jobs this hub may create at an account now. Raises JournalError.

        ``number`` is the hub's own number of the grant.
        """

        def work(connection: Connection, own: OwnAccounts) -> RateReply:
            grant, moment = rate_grants_table.grant, self._clock()
            return grant(connection, own, provider, request, owner=self.owner, number=number, now=moment)

        return await self._accounts.write(work, self._accounts.including(provider, identity))

    async def correct_grant(self, spent: SpentGrant) -> None:
        """Write down what was created of a grant that is over. If that fails, more of it counts."""
        with suppress(CaptchaHubError):
            await self._writer.write(partial(rate_grants_table.correct, spent=spent, owner=self.owner))

    async def record_revival(self, provider: str, identity: AccountIdentity) -> None:
        """Write down, for other hubs, that the service does not refuse an account any more."""

        def work(connection: Connection, own: OwnAccounts) -> None:
            health_table.record_revival(connection, own.number(provider), self._clock())

        try:
            await self._accounts.write(work, self._accounts.including(provider, identity))
        except CaptchaHubError as error:
            log.warning("other processes do not learn that %s is called again: %s", provider, error)

    async def job_times(self, identity: AccountIdentity, kind: str) -> str | None:
        """Return what hubs have learned of how long the jobs of an account take, or None."""
        moment = self._clock()
        return await self._writer.read(
            partial(job_times_table.find, identity=identity, kind=kind, now=moment)
        )

    async def aclose(self) -> None:
        """Leave what is open to other hubs, and close the database."""
        if self._listener is not None:
            await asyncio.to_thread(self._listener.close)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.wait([self._heartbeat])
            await self.pending.catch_up()
            moment, learned = self._clock(), self._take_unsaved()

            def work(connection: Connection) -> None:
                job_times_table.replace(connection, learned, moment)
                sign_off(connection, self.owner)

            try:
                await self._writer.write(work)
            except CaptchaHubError as error:
                log.warning("this hub could not sign off in its journal: %s", error)
        await self._writer.aclose()
        # Last, because another hub takes this one for dead from now on.
        self._lock.release(self.owner)

    async def _write_or_undo(
        self,
        write: Coroutine[object, object, T],
        undo: Callable[[T], Coroutine[object, object, None]],
    ) -> T:
        """Return what a write of this hub does. If its caller is cancelled meanwhile, it is undone."""
        if self.is_shared:
            self._start_heartbeat()
        if not self.is_shared:
            # In memory it never waits, so it is over before its caller can be cancelled.
            done = await write
            self._is_signed_on = True
            return done
        writing = asyncio.ensure_future(write)
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._background.start(_undo_once_written(writing, undo))
            raise
        except OutcomeUnknown as error:
            # It may be written, and its caller goes on as if it were not.
            self._background.start(undo(error.done))
            raise

    def mark_all_created(self, connection: Connection, jobs: Sequence[tuple[int, JobId]]) -> Sequence[None]:
        """Write down the services' ids of jobs of this hub."""
        for entry_id, job_id in jobs:
            jobs_table.mark_created(connection, entry_id, job_id, owner=self.owner, now=self.now)
        return [None] * len(jobs)

    def settle_all(self, connection: Connection, ends: Sequence[Callable[..., object]]) -> Sequence[None]:
        """Write down how jobs of this hub have ended. Each end is a function of :mod:`.jobs_table`."""
        for settle in ends:
            # The time is that of the commit: a solve that began before it may still use the answer.
            settle(connection, owner=self.owner, now=self.now)
        return [None] * len(ends)

    def _start_heartbeat(self) -> None:
        """Take the lock of this hub, and start its heartbeat. Comes before :meth:`_sign_on`."""
        # Before the hub's row is written: another hub that finds the row must find the lock held. And not in
        # a transaction: a fork waits for that, and taking the lock would wait for the fork.
        self._lock.acquire(self.owner)
        if self._heartbeat is None:
            # In a context of its own, because it outlives the solve that begins it.
            self._heartbeat = asyncio.get_running_loop().create_task(self._beat(), context=Context())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            work = partial(self._beat_once, learned=self._take_unsaved())
            try:
                await self._accounts.write(work, self._accounts.identities)
            except CaptchaHubError as error:
                log.warning("this hub could not write its heartbeat to the journal: %s", error)
            await self.pending.catch_up()

    def _beat_once(self, connection: Connection, own: OwnAccounts, learned: LearnedTimes) -> None:
        moment = self._clock()
        # What was learned goes with a commit that is made anyway. If it fails, the next jobs write it again.
        self._sign_on_with_health(connection, own, moment)
        job_times_table.replace(connection, learned, moment)

    def _sign_on_with_health(self, connection: Connection, own: OwnAccounts, moment: float) -> None:
        """Write down that this hub is alive, and its latest record of the providers' health.

        A hub that was suspended may have been taken for dead, so that its record is gone.
        """
        self._sign_on(connection, own, moment)
        if self._health is not None:
            health_table.replace(connection, own, owner=self.owner, records=self._health)

    def _sign_on(self, connection: Connection, own: OwnAccounts, moment: float) -> None:
        """Write down that this hub is alive, and delete old jobs now and then.

        It is part of every transaction that writes something that the hub owns, because a hub that was
        suspended may have been taken for dead meanwhile, and its row is gone.
        """
        if self.is_shared:
            heartbeat(connection, self.owner, moment + LEASE)
        elif not self._is_signed_on:
            # Nothing beats in a journal in memory, which no other hub can see.
            heartbeat(connection, self.owner, math.inf)
        if moment - self._pruned < _PRUNE_INTERVAL:
            return
        job_times_table.prune(connection, moment)
        # What is left over after the limit goes with the next write.
        older_than = moment - self._keep
        if jobs_table.prune(connection, older_than, limit=_PRUNE_LIMIT, own=own) < _PRUNE_LIMIT:
            self._pruned = moment


class JobRow:
    """One job in the journal. Once it is reserved, nothing that fails here may cost its answer."""

    def __init__(
        self,
        journal: Journal,
        entry_id: int,
        fingerprint: str,
        found: JobEntry | None = None,
        *,
        price: Decimal | None = None,
    ) -> None:
        self.entry_id = entry_id
        self._fingerprint = fingerprint
        self.found = found
        """The job as a dead hub left it, or None if it is still to be created."""
        self._journal = journal
        self._price = price

    async def mark_created(self, job_id: JobId) -> None:
        """Write down the service's id."""
        work = GroupedWork(self._journal.mark_all_created, (self.entry_id, job_id))
        await self._journal.pending.write(work, f"job {job_id}")

    async def settle(
        self,
        state: JobState,
        *,
        cost: Decimal | None = None,
        answer: str | None = None,
        error: str | None = None,
        is_given: bool = True,
    ) -> None:
        """Write down how it ended.

        ``answer`` is the solution as :func:`captchahub._journal.solutions.pack` returns it; ``is_given`` is
        False if no caller has received it yet.
        """
        if state in jobs_table.ENDED_AT_PRICE and cost in (None, self._price):
            settle: Callable[..., object] = jobs_table.settle_at_price
        else:
            settle = partial(jobs_table.settle, cost=cost)
        end = partial(
            settle, entry_id=self.entry_id, state=state, answer=answer, error=error, is_given=is_given
        )
        await self._journal.pending.write(GroupedWork(self._journal.settle_all, end), "the end of a job")
        self._journal.watchers.look(self._fingerprint)

    async def keep_undelivered(self, cost: Decimal | None, answer: str | None) -> None:
        """Leave an answer that no caller waits for any more to any hub that resumes."""
        await self.settle(JobState.SOLVED, cost=cost, answer=answer)
        # It may have been settled as delivered before, for a caller that was cancelled meanwhile.
        work = partial(claims.mark_undelivered, entry_id=self.entry_id, owner=self._journal.owner)
        await self._journal.pending.write(work, "that an answer was not received")

    def mark_delivered(self) -> None:
        """Write down in the background that a caller has received the answer."""
        self._journal.mark_delivered(self.entry_id)

    async def release(self) -> None:
        """Leave the job, if it is open or no caller has its answer, to any hub that resumes."""
        await self._journal.release([self.entry_id])
        self._journal.watchers.look(self._fingerprint)


def _identity_of(entry: JobEntry, identities: Mapping[str, AccountIdentity]) -> AccountIdentity | None:
    """Return the account of a job that has the hub's name of it, or None if it is unknown."""
    name = None if entry.account is None else entry.configured_as
    return None if name is None else identities[name]


async def _undo_once_written(
    writing: asyncio.Future[T], undo: Callable[[T], Coroutine[object, object, None]]
) -> None:
    # If the write failed, there is nothing to undo.
    with suppress(CaptchaHubError):
        await undo(await writing)
