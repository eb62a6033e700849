"""Collecting the jobs that other processes, or this one before it ended, have left behind in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from captchahub._engine.late_answers import collect, may_be_elsewhere
from captchahub._engine.poller import Poller
from captchahub._journal.journal import ClaimedJob, JobRow, Journal
from captchahub._journal.solutions import unpack_of_kind
from captchahub._policy.job_token import Token
from captchahub._providers.account import Account, RemoteAccount
from captchahub._support.background import BackgroundTasks, cancel_all
from captchahub._support.clock import now
from captchahub._support.forking import process
from captchahub.errors import Attempt, HubClosed, JobTimeout, NotAsked
from captchahub.jobs import Collected, JobEntry, JobState
from captchahub.provider import Job, Solved
from captchahub.results import Result
from captchahub.tasks import Solution


class NotDelivered(Exception):
    """Thrown into a resume whose last answer did not reach its caller."""


class ResumeIterator:
    """A resume whose answers are taken in another thread, where Ctrl-C may keep one from getting there."""

    def __init__(self, collecting: AsyncGenerator[Collected]) -> None:
        self.home = process()
        """The process that it works in."""
        self._collecting = collecting
        # end() may be called while next() is under way.
        self._lock = asyncio.Lock()

    async def next(self) -> Collected | None:
        """Return the next job, or None at the end."""
        async with self._lock:
            return await anext(self._collecting, None)

    async def end(self, *, is_taken: bool) -> None:
        """Stop before the end; ``is_taken`` if the last answer has reached its caller."""
        async with self._lock:
            if is_taken:
                await self._collecting.aclose()
            else:
                with suppress(NotDelivered, StopAsyncIteration):
                    await self._collecting.athrow(NotDelivered())


async def resume(
    journal: Journal,
    accounts: Mapping[str, Account],
    background: BackgroundTasks,
    in_flight: int,
    while_open: Callable[[Coroutine[Any, Any, Sequence[ClaimedJob]]], Awaitable[Sequence[ClaimedJob]]],
) -> AsyncGenerator[Collected]:
    """Collect jobs that no living hub works on and that were not delivered, and yield each as it ends.

    At most ``in_flight`` are collected at once. An answer is marked as delivered once the caller comes back
    for the next. When this ends, or is left before its end, other hubs can claim the rest at once. Raises
    HubClosed if the hub, whose ``background`` it is, is closed meanwhile; ``while_open`` does so for claims.
    """
    claimed: list[int] = []
    under_way: set[asyncio.Task[Collected]] = set()
    may_be_more = True
    try:
        while may_be_more or under_way:
            room = in_flight - len(under_way)
            if may_be_more and room:
                found = await while_open(journal.claim(room))
                may_be_more = len(found) == room
                claimed += [left.entry.id for left in found]
                for left in found:
                    collecting = asyncio.ensure_future(_collect(journal, accounts, left))
                    # Closing the hub ends it.
                    background.track(collecting)
                    under_way.add(collecting)
            if under_way:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    collected = _collected(one)
                    try:
                        yield collected
                    except NotDelivered:
                        return
                    except GeneratorExit:
                        # The caller has this one, and wants no other.
                        _mark_delivered(journal, collected)
                        raise
                    _mark_delivered(journal, collected)
    finally:
        await cancel_all(under_way)
        # Not before: what is left over would be claimed here again.
        await journal.release(claimed)


def _mark_delivered(journal: Journal, collected: Collected) -> None:
    if collected.error is None:
        journal.mark_delivered(collected.entry.id)


def _collected(one: asyncio.Task[Collected]) -> Collected:
    if one.cancelled():
        raise HubClosed("the hub was closed while it collected this")
    return one.result()


async def _collect(journal: Journal, accounts: Mapping[str, Account], left: ClaimedJob) -> Collected:
    entry = left.entry
    if entry.answer is not None:
        return _in_journal(entry, entry.answer)
    account = accounts.get(entry.configured_as or entry.provider)
    if not isinstance(account, RemoteAccount) or entry.job_id is None:
        known = ", ".join(accounts)
        why = f"job {entry.job_id} is at {entry.provider}, which is not configured here ({known})"
        return Collected(entry, error=NotAsked(why, advice="resume it where that provider is configured"))
    # A reload may have replaced the account since the job was claimed.
    if left.identity not in (None, account.identity):
        why = f"job {entry.job_id} is of another account than {account.name} is now"
        return Collected(entry, error=NotAsked(why, advice="resume it where that account is configured"))
    poller = Poller(account, Job(entry.job_id, entry.kind), is_new=False)
    row = JobRow(journal, entry.id, entry.fingerprint)
    is_elsewhere = may_be_elsewhere(entry, journal.now)
    outcome = await collect(poller, entry.frame, row, may_be_elsewhere=is_elsewhere)
    if outcome.solved is None:
        return Collected(entry, error=outcome.error)
    cost = entry.cost if outcome.solved.cost is None else outcome.solved.cost
    return Collected(entry, outcome.solved.solution, cost)


def _in_journal(entry: JobEntry, answer: Mapping[str, object]) -> Collected:
    """Return a job whose answer the journal has already."""
    solution = unpack_of_kind(entry.kind, answer)
    if solution is None:
        why = f"the answer of job {entry.job_id} is in the journal, and nothing here knows {entry.kind} tasks"
        return Collected(entry, error=NotAsked(why, advice="read it with hub.jobs(), or add the plugin"))
    return Collected(entry, solution, entry.cost)


async def attached(
    journal: Journal, account: RemoteAccount, token: Token, timeout: float
) -> Result[Solution]:
    """Return the result of a job that was created elsewhere. Raises the ProviderError that it ended with."""
    begun = now()
    entry = await journal.claim_one(token, account.name, account.identity)
    solved = await _answer_of(journal, account, token, entry, timeout)
    cost = account.prices.of(token.kind) if solved.cost is None else solved.cost
    elapsed = now() - begun
    attempt = Attempt(account.name, elapsed, job_id=token.job_id, cost=cost, kind=token.kind)
    if entry is not None:
        journal.mark_delivered(entry.id)
    return Result(
        solution=solved.solution,
        kind=token.kind,
        provider=account.name,
        job_id=token.job_id,
        cost=cost,
        elapsed=elapsed,
        attempts=(attempt,),
    )


async def _answer_of(
    journal: Journal, account: RemoteAccount, token: Token, entry: JobEntry | None, timeout: float
) -> Solved:
    """Return the answer in the journal, otherwise the service's."""
    if entry is not None and entry.answer is not None:
        found = _in_journal(entry, entry.answer)
        if found.solution is not None:
            return Solved(found.solution, entry.cost)
    poller, frame, row, is_elsewhere = (
        Poller(account, Job(token.job_id, token.kind), is_new=False),
        token.frame,
        None,
        False,
    )
    if entry is not None and entry.state is not JobState.SOLVED:
        frame, row = entry.frame, JobRow(journal, entry.id, entry.fingerprint)
        is_elsewhere = may_be_elsewhere(entry, journal.now)
    try:
        outcome = await collect(poller, frame, row, may_be_elsewhere=is_elsewhere, patience=timeout)
    finally:
        if row is not None:
            await row.release()
    if outcome.solved is not None:
        return outcome.solved
    error = outcome.error or JobTimeout("there is no answer")
    if isinstance(error, JobTimeout):
        error.token = str(token)
    raise error
