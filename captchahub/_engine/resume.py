"""Collecting what other processes, or this one before it ended, left behind in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from captchahub._engine.late_answers import collect, may_be_elsewhere
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

__all__ = ["NotDelivered", "ResumeIterator", "attached", "resume"]


class NotDelivered(Exception):
    """Thrown into a resume whose last answer did not get to whom it was for."""


class ResumeIterator:
    """A resume whose answers are taken in another thread, where Ctrl-C may keep one from getting there."""

    def __init__(self, collecting: AsyncGenerator[Collected]) -> None:
        self.home = process()
        """The process that it works in."""
        self._collecting = collecting
        # It can be told to end while it is asked for the next one.
        self._lock = asyncio.Lock()

    async def next(self) -> Collected | None:
        """The next one, None at the end."""
        async with self._lock:
            return await anext(self._collecting, None)

    async def end(self, *, is_taken: bool) -> None:
        """Leave it half-way; ``is_taken`` where the last one got to whom it was for."""
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
    """Collect what nobody works on and nobody has got, so many jobs at once, and give each as it comes.

    What is given is noted once it was taken. The rest others can claim at once when this ends, or is left
    half-way. Raises HubClosed where the hub, whose background it is, is closed meanwhile; ``while_open`` does
    so for claims.
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
                under_way.update(_begun(journal, accounts, background, found))
            if under_way:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    collected = _collected(one)
                    try:
                        yield collected
                    except NotDelivered:
                        return
                    except GeneratorExit:
                        _note_given(journal, collected)
                        raise
                    _note_given(journal, collected)
    finally:
        await cancel_all(under_way)
        # Not before: what is left over would be claimed here again.
        await journal.release(claimed)


def _note_given(journal: Journal, collected: Collected) -> None:
    if collected.error is None:
        journal.mark_delivered(collected.entry.id)


def _begun(
    journal: Journal,
    accounts: Mapping[str, Account],
    background: BackgroundTasks,
    found: Sequence[ClaimedJob],
) -> Sequence[asyncio.Task[Collected]]:
    """The collecting of these jobs, each in a task that closing the hub ends."""
    begun = [asyncio.ensure_future(_collect(journal, accounts, left)) for left in found]
    for one in begun:
        background.track(one)
    return begun


def _collected(one: asyncio.Task[Collected]) -> Collected:
    if one.cancelled():
        raise HubClosed("the hub was closed while it collected this")
    return one.result()


async def _collect(journal: Journal, accounts: Mapping[str, Account], left: ClaimedJob) -> Collected:
    entry = left.entry
    if entry.answer is not None:
        return _found(entry, entry.answer)
    account = accounts.get(entry.configured_as or entry.provider)
    if not isinstance(account, RemoteAccount) or entry.job_id is None:
        known = ", ".join(accounts)
        told = f"job {entry.job_id} is at {entry.provider}, which is not configured here ({known})"
        return Collected(entry, error=NotAsked(told, advice="resume it where that provider is configured"))
    # The configuration may have been read anew since the job was claimed.
    if left.identity not in (None, account.identity):
        told = f"job {entry.job_id} is of another account than {account.settings.name} is now"
        return Collected(entry, error=NotAsked(told, advice="resume it where that account is configured"))
    elsewhere = may_be_elsewhere(entry, journal.now)
    job, page = Job(entry.job_id, entry.kind), JobRow(journal, entry.id)
    collected = await collect(account, job, entry.frame, page, may_be_elsewhere=elsewhere)
    if collected.solved is None:
        return Collected(entry, error=collected.error)
    cost = entry.charge if collected.solved.cost is None else collected.solved.cost
    return Collected(entry, collected.solved.solution, cost)


def _found(entry: JobEntry, answer: Mapping[str, object]) -> Collected:
    """What the journal has already."""
    solution = unpack_of_kind(entry.kind, answer)
    if solution is None:
        told = (
            f"the answer of job {entry.job_id} is in the journal, and nothing here knows {entry.kind} tasks"
        )
        return Collected(entry, error=NotAsked(told, advice="read it with hub.jobs(), or add the plugin"))
    return Collected(entry, solution, entry.charge)


async def attached(
    journal: Journal, account: RemoteAccount, token: Token, timeout: float
) -> Result[Solution]:
    """The result of a job that was ordered elsewhere. Raises the ProviderError that it ended with."""
    begun = now()
    entry = await journal.claim_one(token, account.settings.name, account.identity)
    solved = await _answer_of(journal, account, token, entry, timeout)
    cost = account.prices.of(token.kind) if solved.cost is None else solved.cost
    elapsed = now() - begun
    attempt = Attempt(account.settings.name, elapsed, job_id=token.job_id, cost=cost, kind=token.kind)
    if entry is not None:
        journal.mark_delivered(entry.id)
    return Result(
        solution=solved.solution,
        kind=token.kind,
        provider=account.settings.name,
        job_id=token.job_id,
        cost=cost,
        elapsed=elapsed,
        attempts=(attempt,),
    )


async def _answer_of(
    journal: Journal, account: RemoteAccount, token: Token, entry: JobEntry | None, timeout: float
) -> Solved:
    """The answer in the journal, else the service's."""
    if entry is not None and entry.answer is not None:
        found = _found(entry, entry.answer)
        if found.solution is not None:
            return Solved(found.solution, entry.charge)
    page = None if entry is None or entry.state is JobState.SOLVED else JobRow(journal, entry.id)
    frame = token.frame if page is None or entry is None else entry.frame
    try:
        collected = await collect(
            account,
            Job(token.job_id, token.kind),
            frame,
            page,
            patience=timeout,
            may_be_elsewhere=entry is not None and may_be_elsewhere(entry, journal.now),
        )
    finally:
        if page is not None:
            await page.release()
    if collected.solved is not None:
        return collected.solved
    error = collected.error or JobTimeout("there is no answer")
    if isinstance(error, JobTimeout):
        error.token = str(token)
    raise error
