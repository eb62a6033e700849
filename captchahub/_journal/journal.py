"""What a hub writes down of its jobs: one page a job, kept alive while the hub lives."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import tzinfo
from decimal import Decimal
from functools import partial
from typing import TypeVar

import attrs

from captchahub._journal import jobs_table as entries
from captchahub._journal import owners_table as owners
from captchahub._journal.accounts_table import OwnAccounts, own_accounts
from captchahub._journal.ledger_table import spend
from captchahub._journal.liveness import Heartbeat, ProcessLock
from captchahub._journal.rows import NewJob, get
from captchahub._journal.writer import Work, Writer, open_writer
from captchahub._policy.account_identity import AccountIdentity
from captchahub._policy.budgets import BudgetScope
from captchahub._policy.job_token import Token
from captchahub._support.background import BackgroundTasks
from captchahub._support.log import log
from captchahub.errors import INSTEAD_OF_WAITING, CaptchaHubError, NotAsked, NotOffered
from captchahub.jobs import JobEntry as Entry
from captchahub.jobs import JobState, Spend
from captchahub.provider import JobId
from captchahub.settings import KEPT_IN_MEMORY, Budget, HubSettings

__all__ = ["ClaimedJob", "JobRow", "Journal", "NewJob", "PendingWrites", "Writer", "open_journal"]

T = TypeVar("T")

# So old a job, in seconds, is not waited for in place of a new one: it may never end.
_WORTH_ASKING = 600.0


@attrs.frozen
class ClaimedJob:
    """A job that was left behind, and its account; None where nobody knows that."""

    entry: Entry
    identity: AccountIdentity | None


def open_journal(
    settings: HubSettings,
    identities: Mapping[str, AccountIdentity],
    background: BackgroundTasks,
    clock: Callable[[], float],
    *,
    writer: Writer | None = None,
) -> Journal:
    """Return the journal of a hub with these settings. Raises JournalError if it cannot be opened.

    ``identities`` are the accounts of its providers; ``clock`` is the wall clock, in seconds since 1970.
    Tests and the simulator pass a ``writer`` of their own, which several hubs may share.
    """
    path = settings.journal.path
    is_alone = writer is None and path is None
    presence = ProcessLock(path if writer is None else None)
    return Journal(
        open_writer(path) if writer is None else writer,
        settings,
        identities,
        background,
        clock,
        is_alone=is_alone,
        presence=presence,
    )


class Journal:
    """The journal of one hub, whose providers are the accounts of these ``identities``.

    ``clock`` is the wall clock, in seconds since 1970; ``is_alone`` where no other hub can see the journal;
    ``presence`` tells which of the other hubs are surely dead, before their lease is over.
    """

    def __init__(
        self,
        journal: Writer,
        settings: HubSettings,
        identities: Mapping[str, AccountIdentity],
        background: BackgroundTasks,
        clock: Callable[[], float],
        *,
        is_alone: bool,
        presence: ProcessLock,
    ) -> None:
        self._journal = journal
        self._is_alone = is_alone
        self._background = background
        self._clock = clock
        self.later = PendingWrites(journal)
        """Where to write what must not get lost."""
        self._lease = Heartbeat(
            journal, clock, presence, self.later.catch_up, entries.prune, is_alone=is_alone
        )
        self._lease.own = self._own
        self._had: dict[AccountIdentity, None] = {}
        self.follow(settings, identities)

    @property
    def owner(self) -> str:
        """What this hub is called in the journal."""
        return self._lease.owner

    def follow(self, settings: HubSettings, identities: Mapping[str, AccountIdentity]) -> None:
        """Keep to these budgets and times from now on, with these accounts."""
        self._identities = identities
        # What was spent there while the hub had it stays part of what the hub may spend.
        self._had |= dict.fromkeys(identities.values())
        self._limits = tuple(_limits(settings))
        self._cache = settings.cache
        keep = settings.journal.keep
        # What is in memory only is gone with the hub anyhow, and must not fill it until then.
        keep = min(keep, KEPT_IN_MEMORY) if self._is_alone else keep
        self._lease.keep = max(keep, settings.cache)

    @property
    def now(self) -> float:
        """What the clock on the wall shows, in seconds since 1970."""
        return self._clock()

    def has_budget_for(self, provider: str) -> bool:
        """Whether what a provider costs is limited."""
        return any(limit.provider in (None, provider) for limit in self._limits)

    def _own(
        self, connection: sqlite3.Connection, beside: Mapping[str, AccountIdentity] | None = None
    ) -> OwnAccounts:
        """The accounts of this hub in the journal, with those ``beside`` that it may have let go of."""
        return own_accounts(connection, {**self._identities, **(beside or {})}, self._had)

    async def reserve(
        self,
        order: NewJob,
        begun: float,
        refused: Entry | None = None,
        identity: AccountIdentity | None = None,
    ) -> JobRow | Entry:
        """Write down that an order is about to be sent, and reserve its price.

        Where an equal shared task was solved since the solve begun, or within the time of the cache, it is
        that job instead, and nothing need be sent. Where a dead hub has ordered an equal one here, it
        is the page of that one, which is still to be asked for. ``refused`` is a job whose answer can't be
        right, and that goes to nobody else; ``identity`` is the account. Raises NotAsked where another
        process is solving an equal task, BudgetExceeded, PriceUnknown, or JournalError; nothing may be sent
        then.
        """

        def work(connection: sqlite3.Connection, moment: float) -> int | Entry:
            if refused is not None:
                entries.stop_sharing(connection, refused.id)
            fresh_since = min(begun, moment - self._cache)
            beside = {} if identity is None else {order.provider: identity}
            own = self._own(connection, beside)
            equal = self._equal(connection, order, moment, fresh_since, own) if order.is_shared else None
            if equal is not None:
                return own.named(equal)
            return entries.reserve(connection, order, self._limits, owner=self.owner, now=moment, own=own)

        opened = await self._begin(work, self._take_back)
        if isinstance(opened, int):
            return JobRow(self, opened)
        return opened if opened.state is JobState.SOLVED else JobRow(self, opened.id, opened)

    def _equal(
        self, connection: sqlite3.Connection, order: NewJob, now: float, fresh_since: float, own: OwnAccounts
    ) -> Entry | None:
        find = partial(
            entries.find_equal, connection, order.fingerprint, now=now, fresh_since=fresh_since, own=own
        )
        equal = find()
        if equal is not None and equal.state is not JobState.SOLVED and self._lease.is_gone(equal.owner):
            self._lease.bury(connection, now)
            equal = find()
        if equal is not None and equal.state is JobState.SOLVED:
            return equal
        # Within one hub equal solves are one, and all its orders are that one's.
        if equal is None or equal.owner == self.owner:
            since = now - _WORTH_ASKING
            return owners.claim_equal(connection, order, owner=self.owner, now=now, since=since, own=own)
        raise NotAsked("another process is having an equal task solved", advice=INSTEAD_OF_WAITING)

    async def _take_back(self, opened: int | Entry) -> None:
        if isinstance(opened, int):
            await JobRow(self, opened).settle(JobState.NOT_SENT)
        elif opened.state is not JobState.SOLVED:
            await self.release([opened.id])

    async def resolve(self, entry: Entry, state: JobState, cost: Decimal | None) -> None:
        """Write down what a person says became of a job. Raises ValueError where that can't be."""

        def work(connection: sqlite3.Connection) -> None:
            moment, error = self._clock(), entry.error
            if entries.settle(connection, entry.id, state, owner=None, now=moment, cost=cost, error=error):
                return
            found = get(connection, entry.id)
            if found is None:
                raise ValueError(f"job {entry.id} is not in this journal, or not any more")
            if found.state is not entry.state:
                raise ValueError(f"job {entry.id} was settled meanwhile: it is {found.state.value}")
            was, wanted = entry.state.value, state.value
            raise ValueError(f"a job that is {was} can't be settled as {wanted} by hand")

        await self._journal.write(work)

    async def claim(self, limit: int) -> Sequence[ClaimedJob]:
        """Take over what its accounts have left behind; what dead hubs were about to send is ambiguous."""

        def work(connection: sqlite3.Connection, moment: float) -> Sequence[ClaimedJob]:
            self._lease.bury(connection, moment)
            own = self._own(connection)
            found = map(own.named, owners.claim(connection, self.owner, moment, limit, own))
            return [ClaimedJob(entry, own.identity_of(entry)) for entry in found]

        return await self._begin(work, self._hand_back_left)

    async def claim_one(self, job: Token, provider: str, identity: AccountIdentity) -> Entry | None:
        """Take over one created job of an account, or find it solved.

        None where it is neither, or somebody works on it.
        """

        def work(connection: sqlite3.Connection, moment: float) -> Sequence[Entry]:
            self._lease.bury(connection, moment)
            own = self._own(connection, {provider: identity})
            solved = entries.find_answer(connection, job, provider, own)
            found = solved or owners.claim_one(connection, job, provider, own, owner=self.owner, now=moment)
            return [] if found is None else [found]

        found = await self._begin(work, self._hand_back)
        return found[0] if found else None

    def mark_delivered(self, entry_id: int) -> asyncio.Task[None]:
        """Write down in the background that somebody has got the answer of a job."""
        return self._background.start(self._note_given(entry_id))

    async def _note_given(self, entry_id: int) -> None:
        await self.later.write(
            partial(entries.mark_delivered, entry_id=entry_id), "that somebody got an answer"
        )

    async def _hand_back_left(self, found: Sequence[ClaimedJob]) -> None:
        await self._hand_back([left.entry for left in found])

    async def _hand_back(self, found: Sequence[Entry]) -> None:
        await self.release(entry.id for entry in found)

    async def release(self, ids: Iterable[int]) -> None:
        """Leave created jobs, which nobody here asks for any more, to whoever resumes."""
        leaving = list(ids)
        if not leaving:
            return
        try:
            await self._journal.write(lambda connection: owners.release(connection, leaving, self.owner))
        except CaptchaHubError as error:
            log.warning("jobs stay with this hub until it is closed, for the journal failed: %s", error)

    async def report(self, provider: str, job_id: JobId, *, correct: bool) -> None:
        """Give an answer that was found to be wrong to nobody else.

        Raises NotOffered where the job is known to be of another account than the provider is now.
        """

        def work(connection: sqlite3.Connection) -> bool:
            found = entries.jobs_of(connection, provider, job_id, self._own(connection))
            for entry_id in () if correct else found:
                entries.stop_sharing(connection, entry_id)
            return bool(found) or not entries.is_known(connection, provider, job_id)

        may_be_its = await self._journal.write(work)
        if provider in self._identities and not may_be_its:
            raise NotOffered(
                f"job {job_id} is of another account than {provider!r} is now, and only that can report on it"
            )

    async def jobs(self, state: JobState | None, limit: int) -> Sequence[Entry]:
        """The newest jobs; what dead hubs were about to send is ambiguous by now."""

        def work(connection: sqlite3.Connection) -> Sequence[Entry]:
            self._lease.bury(connection, self._clock())
            own = self._own(connection)
            return [own.named(entry) for entry in entries.entries(connection, state, limit=limit)]

        return await self._journal.write(work)

    async def spend(self, zone: tzinfo, since: float) -> list[Spend]:
        """Return what the jobs since a time cost, by day of a zone, provider, kind and account."""
        return await self._journal.write(partial(spend, zone=zone, since=since))

    async def _begin(
        self,
        work: Callable[[sqlite3.Connection, float], T],
        undo: Callable[[T], Coroutine[object, object, None]],
    ) -> T:
        """What a work gives. Where nobody waits for it any more when it is done, it is undone."""
        writing = asyncio.ensure_future(self._lease.write(work))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._background.start(_undone(writing, undo))
            raise

    async def aclose(self) -> None:
        """Leave what is open to others, and let go of the file."""
        await self._lease.end()
        await self._journal.aclose()
        self._lease.leave()


class JobRow:
    """One job in the journal. Once it is reserved nothing that fails here may cost its answer."""

    def __init__(self, books: Journal, entry_id: int, found: Entry | None = None) -> None:
        self._books = books
        self.entry_id = entry_id
        self.found = found
        """The job as a dead hub has left it; None where it is still to be ordered."""

    async def mark_created(self, job_id: JobId) -> None:
        """Write down the service's id."""
        work = partial(entries.mark_created, entry_id=self.entry_id, job_id=job_id, owner=self._books.owner)
        await self._books.later.write(lambda one: work(one, now=self._books.now), f"job {job_id}")

    async def settle(
        self,
        state: JobState,
        *,
        cost: Decimal | None = None,
        answer: Mapping[str, object] | None = None,
        error: str | None = None,
        is_given: bool = True,
    ) -> None:
        """Write down what became of it; ``is_given`` is False where nobody has got the answer so far."""
        work = partial(
            entries.settle,
            entry_id=self.entry_id,
            state=state,
            owner=self._books.owner,
            cost=cost,
            answer=answer,
            error=error,
            is_given=is_given,
        )
        await self._books.later.write(lambda one: work(one, now=self._books.now), "the end of a job")

    async def keep_undelivered(self, cost: Decimal | None, answer: Mapping[str, object] | None) -> None:
        """Leave an answer that nobody waits for any more to whoever resumes."""
        await self.settle(JobState.SOLVED, cost=cost, answer=answer)
        # Also where it was settled before, for somebody who did not wait for the end of that.
        work = partial(owners.mark_undelivered, entry_id=self.entry_id, owner=self._books.owner)
        await self._books.later.write(work, "that nobody got an answer")

    def mark_delivered(self) -> None:
        """Write down in the background that somebody has its answer."""
        self._books.mark_delivered(self.entry_id)

    async def release(self) -> None:
        """Leave it, where it is not over or its answer is nobody's yet, to whoever resumes."""
        await self._books.release([self.entry_id])


async def _undone(writing: asyncio.Future[T], undo: Callable[[T], Coroutine[object, object, None]]) -> None:
    try:
        written = await writing
    except CaptchaHubError:
        return
    await undo(written)


def _limits(settings: HubSettings) -> Sequence[BudgetScope]:
    budgets: list[tuple[str, str | None, Budget | None]] = [("the hub", None, settings.budget)]
    budgets += [(name, name, one.budget) for name, one in settings.providers.items()]
    return [BudgetScope(name, whose, budget) for name, whose, budget in budgets if budget is not None]


class PendingWrites:
    """The works that a journal did not take. To do one of them twice does no harm."""

    def __init__(self, journal: Writer) -> None:
        self._journal = journal
        self._waiting: list[Work[object]] = []

    async def write(self, work: Work[object], what: str) -> None:
        """Write now, or where that fails, with the next :meth:`catch_up`; ``what`` it is, is for the log."""
        if not self._waiting:
            try:
                await self._journal.write(work)
            except CaptchaHubError as error:
                log.error("%s could not be written into the journal, and is tried again: %s", what, error)
                self._waiting.append(work)
            return
        self._waiting.append(work)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Write what could not be written before."""
        try:
            while self._waiting:
                work = self._waiting[0]
                await self._journal.write(work)
                # Two can be at it at the same time.
                if self._waiting[:1] == [work]:
                    del self._waiting[0]
        except CaptchaHubError as error:
            log.warning("the journal still fails; %d entries wait for it: %s", len(self._waiting), error)
