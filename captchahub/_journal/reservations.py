"""How jobs are reserved, before a byte of them is sent.

A task that an equal job answers needs no job. Any other gets a row of its own, if its budgets have room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, MutableMapping, Sequence

import attrs

from captchahub._journal import claims, jobs_table, ledger_table
from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.database import Connection
from captchahub._journal.liveness import ProcessLock, expire_dead_owners
from captchahub._journal.rows import NewJob
from captchahub._policy.accounting import to_units
from captchahub._policy.budgets import BudgetScope, period_of, refusal_of
from captchahub.errors import BudgetExceeded, PriceUnknown
from captchahub.jobs import JobEntry, JobState

# A job that was left behind is taken over for an equal task if it is at most this old, in seconds. Services
# answer within a minute or two, and an older job may never end, while the solve waits for it.
_TAKEN_OVER_UP_TO = 600.0

IsAwaited = Callable[[JobEntry], bool]
"""Returns whether a solve waits for an open job of an equal task. It may be called in another thread."""

Reserved = int | JobEntry | None
"""The row of a new job, the job of an equal task that answers this one, or None if one is waited for."""


@attrs.frozen(eq=False)
class Reservation:
    """A job that is about to be sent, and when its solve began.

    ``refused`` is a job whose answer was found to be wrong, or None.
    """

    job: NewJob
    begun: float
    is_awaited: IsAwaited
    refused: JobEntry | None


@attrs.frozen(eq=False)
class Reserver:
    """Reserves the jobs of a hub, within its budgets.

    ``cache`` is how long answers serve equal tasks, in seconds; those from before ``reuse_since`` do not.
    """

    lock: ProcessLock
    scopes: Sequence[BudgetScope] = ()
    cache: float = 0.0
    reuse_since: float = math.inf

    def reserve(
        self,
        connection: Connection,
        own: OwnAccounts,
        reservations: Sequence[Reservation],
        *,
        owner: str,
        now: float,
    ) -> Sequence[Reserved | Exception]:
        """Return what each reservation of the hub ``owner`` leads to, or why it is refused.

        All have the same accounts.
        """
        for one in reservations:
            if one.refused is not None:
                jobs_table.stop_sharing(connection, one.refused.id)
        # Most tasks have no equal, which one look into the index shows. The statements that find the right
        # one among several take ten times as long.
        shared = [one.job.fingerprint for one in reservations if one.job.is_shared]
        repeated = jobs_table.with_equal(connection, shared)
        outcomes: dict[int, Reserved | Exception] = {}
        new: dict[int, NewJob] = {}
        solves: dict[str, str] = {}
        # In the transaction that charges the prices: two hubs that checked first and charged later could both
        # find room for the last job.
        spent: dict[tuple[str | None, int], int] = {}
        for number, one in enumerate(reservations):
            job, is_new, found = one.job, True, None
            if job.is_shared and job.fingerprint in repeated:
                is_new, found = self._equal_to(connection, own, one, owner=owner, now=now)
            outcomes[number] = found
            if not is_new or _is_of_other_solve(job, solves):
                continue
            try:
                check_budgets(connection, job, self.scopes, now, own, spent=spent)
            except (BudgetExceeded, PriceUnknown) as error:
                outcomes[number] = error
            else:
                new[number] = job
        ids = jobs_table.insert_intents(connection, new.values(), own, owner=owner, now=now)
        outcomes.update(zip(new, ids, strict=True))
        return [outcomes[number] for number in range(len(reservations))]

    def find_equal(
        self, connection: Connection, own: OwnAccounts, one: Reservation, now: float
    ) -> JobEntry | None:
        """Return the job of an equal task that answers this one or has to be waited for, or None."""
        equal = jobs_table.find_equal(
            connection,
            one.job.fingerprint,
            now=now,
            fresh_since=min(one.begun, now - self.cache, self.reuse_since),
            own=own,
            is_awaited=lambda other: not self.lock.is_free(other.owner) and one.is_awaited(own.named(other)),
        )
        return None if equal is None else own.named(equal)

    def _equal_to(
        self, connection: Connection, own: OwnAccounts, one: Reservation, *, owner: str, now: float
    ) -> tuple[bool, JobEntry | None]:
        """Return whether a new job is needed, and if not, the job that answers the task.

        It is None if it is waited for.
        """
        equal = self.find_equal(connection, own, one, now)
        if equal is not None:
            return False, equal if equal.state is JobState.SOLVED else None
        expire_dead_owners(connection, self.lock, now)
        since = min(now - _TAKEN_OVER_UP_TO, self.reuse_since)
        left = claims.claim_equal(connection, one.job, owner=owner, now=now, since=since, own=own)
        return left is None, None if left is None else own.named(left)


def _is_of_other_solve(job: NewJob, solves: MutableMapping[str, str]) -> bool:
    """Return whether another solve creates the job of an equal task in the same transaction.

    ``solves`` has the solves that do, by the fingerprints of their tasks.
    """
    return job.is_shared and solves.setdefault(job.fingerprint, job.submission) != job.submission


def check_budgets(
    connection: Connection,
    job: NewJob,
    scopes: Iterable[BudgetScope],
    now: float,
    own: OwnAccounts,
    *,
    spent: MutableMapping[tuple[str | None, int], int],
) -> None:
    """Raise BudgetExceeded or PriceUnknown if a budget has no room for a job; otherwise add it to ``spent``.

    The budget of a provider counts what its account was charged, and that of the hub what all its accounts
    were, past ones too. Both also count jobs that may not exist at the service.

    ``spent`` is what was found for earlier jobs of the same transaction and accounts, in units by the
    provider and the begin of the period, with their own prices; empty for the first one.
    """
    for scope in scopes:
        if scope.provider not in (None, job.provider):
            continue
        if job.price is None:
            raise PriceUnknown(
                f"the price of {job.kind} at {job.provider} is unknown, and {scope.name} has a budget"
            )
        since, _ = period_of(scope.budget, now)
        line = scope.provider, since
        if line not in spent:
            spent[line] = ledger_table.spent(connection, own, scope.provider, since)
        refusal = refusal_of(scope, spent[line], job.price, now)
        if refusal is not None:
            raise refusal
    for provider, since in spent:
        if job.price is not None and provider in (None, job.provider):
            spent[provider, since] += to_units(job.price)
