"""Collecting what other processes, or this one before it ended, left behind in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from captchahub._accounts import Account, RemoteAccount
from captchahub._aftercare import Aftercare, end
from captchahub._books import Books, Page
from captchahub._clock import now
from captchahub._harvest import collect
from captchahub._tokens import Token
from captchahub.errors import Attempt, HubClosed, JobTimeout, NotAsked
from captchahub.jobs import Collected, JobEntry
from captchahub.provider import Job
from captchahub.results import Result
from captchahub.tasks import Solution

__all__ = ["attached", "resume"]


async def resume(
    books: Books, accounts: Mapping[str, Account], aftercare: Aftercare, in_flight: int
) -> AsyncGenerator[Collected]:
    """Collect every created job that nobody works on, so many at once, and give each as it comes.

    What is not over when this ends, or is left half-way, others can claim at once. Raises HubClosed where
    the hub, whose aftercare it is, is closed meanwhile.
    """
    claimed: list[int] = []
    under_way: set[asyncio.Task[Collected]] = set()
    may_be_more = True
    try:
        while may_be_more or under_way:
            room = in_flight - len(under_way)
            if may_be_more and room:
                found = await books.claim(room)
                may_be_more = len(found) == room
                claimed += [entry.id for entry in found]
                under_way.update(_begun(books, accounts, aftercare, found))
            if under_way:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    yield _collected(one)
    finally:
        await end(under_way)
        # Not before: what is left over would be claimed here again.
        await books.hand_over(claimed)


def _begun(
    books: Books, accounts: Mapping[str, Account], aftercare: Aftercare, found: Sequence[JobEntry]
) -> Sequence[asyncio.Task[Collected]]:
    """The collecting of these jobs, each in a task that closing the hub ends."""
    begun = [asyncio.ensure_future(_collect(books, accounts, entry)) for entry in found]
    for one in begun:
        aftercare.adopt(one)
    return begun


def _collected(one: asyncio.Task[Collected]) -> Collected:
    if one.cancelled():
        raise HubClosed("the hub was closed while it collected this")
    return one.result()


async def _collect(books: Books, accounts: Mapping[str, Account], entry: JobEntry) -> Collected:
    account = accounts.get(entry.provider)
    if not isinstance(account, RemoteAccount) or entry.job_id is None:
        known = ", ".join(accounts)
        told = f"job {entry.job_id} is at {entry.provider}, which is not configured here ({known})"
        return Collected(entry, error=NotAsked(told, advice="resume it where that provider is configured"))
    collected = await collect(account, Job(entry.job_id, entry.kind), entry.frame, Page(books, entry.id))
    if collected.solved is None:
        return Collected(entry, error=collected.error)
    cost = entry.charge if collected.solved.cost is None else collected.solved.cost
    return Collected(entry, collected.solved.solution, cost)


async def attached(books: Books, account: RemoteAccount, token: Token, timeout: float) -> Result[Solution]:
    """The result of a job that was ordered elsewhere. Raises the ProviderError that it ended with."""
    begun = now()
    job = Job(token.job_id, token.kind)
    page = await books.claim_one(token.provider, token.job_id)
    try:
        collected = await collect(account, job, token.frame, page, patience=timeout)
    finally:
        if page is not None:
            await page.hand_over()
    if collected.solved is None:
        error = collected.error or JobTimeout("there is no answer")
        if isinstance(error, JobTimeout):
            error.token = str(token)
        raise error
    solved = collected.solved
    cost = account.prices.of(token.kind) if solved.cost is None else solved.cost
    elapsed = now() - begun
    attempt = Attempt(account.settings.name, elapsed, job_id=token.job_id, cost=cost)
    return Result(
        solution=solved.solution,
        kind=token.kind,
        provider=account.settings.name,
        job_id=token.job_id,
        cost=cost,
        elapsed=elapsed,
        attempts=(attempt,),
    )
