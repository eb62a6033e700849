"""The ledger: what was ordered, added up in slots of time, and the budgets that it is held against.

Each function is one of an open transaction. The ledger is moved with every charge of a job.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal

from captchahub._journal.accounts_table import NOBODYS, OF_HUB, OF_PROVIDER, OwnAccounts
from captchahub._journal.rows import NewJob
from captchahub._policy.budgets import (
    DAY,
    SLOT,
    BudgetScope,
    day_of,
    from_units,
    period_of,
    refusal_of,
    slot_of,
)
from captchahub.errors import PriceUnknown
from captchahub.jobs import Spend

__all__ = ["check_budgets", "move", "spend", "spent"]


def check_budgets(
    connection: sqlite3.Connection,
    order: NewJob,
    limits: Iterable[BudgetScope],
    now: float,
    own: OwnAccounts = NOBODYS,
) -> None:
    """Nothing where the budgets have room for an order. Raises BudgetExceeded or PriceUnknown.

    That of a provider counts what was ordered with its account; that of the hub, with all accounts that the
    hub has or had. Both count what may have been, too.
    """
    for limit in limits:
        if limit.provider not in (None, order.provider):
            continue
        if order.price is None:
            raise PriceUnknown(
                f"nobody says what {order.kind} costs at {order.provider}, and {limit.name} has a budget"
            )
        since, _ = period_of(limit.budget, now)
        # What is free fits into a budget that is used up.
        if limit.provider is None:
            spent_so_far = _sum(connection, OF_HUB, own.of_hub_so_far, since)
        else:
            spent_so_far = _sum(connection, OF_PROVIDER, own.of(order.provider), since)
        refusal = refusal_of(limit, spent_so_far, order.price, now)
        if refusal is not None and order.price > 0:
            raise refusal


def move(
    connection: sqlite3.Connection,
    line: tuple[int, str, str, str | None],
    moment: float,
    *,
    charge: int,
    jobs: int,
) -> None:
    """Add to a line of the ledger at the time of an order, or take from it.

    ``line`` is its account, provider, kind and currency.
    """
    account, provider, kind, currency = line
    rest = account, provider, kind, currency or "", charge, jobs
    connection.executemany(
        """
        INSERT INTO ledger (span, slot, account, provider, kind, currency, charge, jobs)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (span, slot, account, provider, kind, currency)
            DO UPDATE SET charge = charge + excluded.charge, jobs = jobs + excluded.jobs
        """,
        [(SLOT, slot_of(moment), *rest), (DAY, day_of(moment), *rest)],
    )


def spent(connection: sqlite3.Connection, provider: str | None, since: float) -> Decimal:
    """What may have been charged under a provider's name, or any, for orders since the slot of a time."""
    called = ":provider IS NULL OR provider = :provider"
    return from_units(_sum(connection, called, {"provider": provider}, slot_of(since)))


def _sum(connection: sqlite3.Connection, whose: str, values: Mapping[str, str | None], since: int) -> int:
    """What was charged since a time; ``whose`` is a condition of SQL with these values."""
    # There is no end to it: after a clock was set back, what was ordered before counts all the same.
    (total,) = connection.execute(
        f"""
        SELECT (SELECT coalesce(sum(charge), 0) FROM ledger WHERE span = :slots AND slot >= :since
                AND slot < :days_from AND ({whose}))
            + (SELECT coalesce(sum(charge), 0) FROM ledger WHERE span = :days AND slot >= :days_from
                AND ({whose}))
        """,  # noqa: S608 - one of our own conditions
        {**values, "slots": SLOT, "days": DAY, "since": since, "days_from": -day_of(-since)},
    ).fetchone()
    return int(total)


def spend(connection: sqlite3.Connection, *, zone: tzinfo = UTC, since: float = 0) -> list[Spend]:
    """The ledger by day of a zone, provider, kind, currency and account, the oldest day first."""
    days: dict[tuple[date, str, str, str, int], tuple[int, int]] = {}
    for slot, provider, kind, currency, account, charge, jobs in connection.execute(
        """
        SELECT slot, provider, kind, currency, account, charge, jobs FROM ledger
        WHERE span = ? AND slot >= ?
        """,
        (SLOT, slot_of(since)),
    ):
        key = datetime.fromtimestamp(slot, zone).date(), provider, kind, currency, account
        so_far = days.get(key, (0, 0))
        days[key] = so_far[0] + int(charge), so_far[1] + jobs
    return [
        Spend(day, provider, kind, currency or None, from_units(charge), jobs, account or None)
        for (day, provider, kind, currency, account), (charge, jobs) in sorted(days.items())
    ]
