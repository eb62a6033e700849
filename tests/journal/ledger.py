"""What tests of the journal's tables do with its money in one transaction, as a hub does."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from captchahub._journal import jobs_table, ledger_table
from captchahub._journal.accounts_table import NO_ACCOUNTS, OwnAccounts
from captchahub._journal.database import Connection
from captchahub._journal.reservations import check_budgets
from captchahub._journal.rows import NewJob
from captchahub._policy.accounting import from_units, slot_of
from captchahub._policy.budgets import BudgetScope
from captchahub.provider import JobId


def reserve(
    connection: Connection,
    job: NewJob,
    scopes: Iterable[BudgetScope] = (),
    *,
    owner: str,
    now: float,
    own: OwnAccounts = NO_ACCOUNTS,
) -> int:
    """Check the budgets and insert a job with its price, and return its id."""
    check_budgets(connection, job, scopes, now, own, spent={})
    return jobs_table.insert_intents(connection, [job], own, owner=owner, now=now)[0]


def mark_created(connection: Connection, entry_id: int, job_id: JobId, *, owner: str, now: float) -> bool:
    """Write down the id of a job at the service, and return whether that was possible."""
    return jobs_table.mark_created(connection, entry_id, job_id, owner=owner, now=now).rowcount == 1


def spent(connection: Connection, provider: str | None, since: float) -> Decimal:
    """Return what jobs of no known account cost under a provider's name, or any name, since a time."""
    return from_units(ledger_table.spent(connection, NO_ACCOUNTS, provider, slot_of(since)))


_JOB = NewJob(
    "s", "omo", "image-to-text", "f", {"length": 5}, Decimal("0.5"), "configured", "USD", is_shared=True
)


def reserve_one(connection: Connection, owner: str = "me") -> int:
    """A work that reserves a job."""
    return reserve(connection, _JOB, owner=owner, now=1000.0)


def failing(connection: Connection) -> int:
    """A work that writes something and then finds that it should not have."""
    reserve_one(connection)
    raise LookupError("there is no such thing")
