"""The ledger: what jobs cost, added up in slots of time. Each function runs in an open transaction.

Every charge is there twice, in its slot and in its day in UTC, so that the months of a budget are summed
from few rows while a reservation waits.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, tzinfo

from captchahub._journal.accounts_table import OF_HUB, OF_PROVIDER, OwnAccounts
from captchahub._journal.database import Connection
from captchahub._policy.accounting import DAY, SLOT, day_of, from_units, slot_of
from captchahub.jobs import Spend

Line = tuple[int, str, str, str | None]
"""The account, provider, kind and currency of a job."""

_Key = tuple[date, str, str, str, int]
"""The day, provider, kind, currency (empty if unknown) and account of a line."""


def add_to_ledger(
    connection: Connection,
    line: Line,
    moment: float,
    *,
    charge: int,
    jobs: int,
) -> None:
    """Add to the ledger at the time when jobs were created; a negative charge is taken off.

    ``charge`` is in units.
    """
    account, provider, kind, currency = line
    # "ledger." is needed: in other databases than SQLite a bare column could be the excluded row's as well.
    connection.execute(
        """
        INSERT INTO ledger (span, slot, account, provider, kind, currency, charge, jobs)
        VALUES (:slots, :slot, :account, :provider, :kind, :currency, :charge, :jobs),
            (:days, :day, :account, :provider, :kind, :currency, :charge, :jobs)
        ON CONFLICT (span, slot, account, provider, kind, currency)
            DO UPDATE SET charge = ledger.charge + excluded.charge, jobs = ledger.jobs + excluded.jobs
        """,
        {
            "slots": SLOT,
            "slot": slot_of(moment),
            "days": DAY,
            "day": day_of(moment),
            "account": account,
            "provider": provider,
            "kind": kind,
            "currency": currency or "",
            "charge": charge,
            "jobs": jobs,
        },
    )


def spent(connection: Connection, own: OwnAccounts, provider: str | None, since: int) -> int:
    """Return what the account of a provider was charged since a slot, in units.

    If ``provider`` is None, return what all accounts of the hub, past ones too, were charged.
    """
    condition, values = (OF_HUB, own.hub_ever) if provider is None else (OF_PROVIDER, own.of(provider))
    # There is no upper bound: if a clock was set back, the jobs of its former future count all the same.
    (total,) = connection.execute(
        f"""
        SELECT (SELECT coalesce(sum(charge), 0) FROM ledger WHERE span = :slots AND slot >= :since
                AND slot < :days_from AND ({condition}))
            + (SELECT coalesce(sum(charge), 0) FROM ledger WHERE span = :days AND slot >= :days_from
                AND ({condition}))
        """,  # noqa: S608 - one of our own conditions
        # Whole days from the first midnight in UTC on, and the slots before it.
        {**values, "slots": SLOT, "days": DAY, "since": since, "days_from": -day_of(-since)},
    ).fetchone()
    return int(total)


def spend(connection: Connection, *, zone: tzinfo = UTC, since: float = 0) -> list[Spend]:
    """Return the ledger by day of a zone, provider, kind, currency and account, the oldest day first."""
    unpriced = _unpriced(connection, zone, slot_of(since))
    days: dict[_Key, tuple[int, int]] = {}
    for slot, provider, kind, currency, account, charge, jobs in connection.execute(
        """
        SELECT slot, provider, kind, currency, account, charge, jobs FROM ledger
        WHERE span = :slots AND slot >= :since
        """,
        {"slots": SLOT, "since": slot_of(since)},
    ):
        key = datetime.fromtimestamp(slot, zone).date(), provider, kind, currency, account
        charge_so_far, jobs_so_far = days.get(key, (0, 0))
        days[key] = charge_so_far + int(charge), jobs_so_far + jobs
    return [
        Spend(
            day,
            provider,
            kind,
            currency or None,
            from_units(charge),
            jobs,
            account or None,
            unpriced[day, provider, kind, currency, account],
        )
        for (day, provider, kind, currency, account), (charge, jobs) in sorted(days.items())
    ]


def _unpriced(connection: Connection, zone: tzinfo, since: int) -> Counter[_Key]:
    """Return the number of jobs without a known price in each line of the ledger since a slot.

    The ledger itself counts them with nothing, so they are counted in the table of jobs.
    """
    found = connection.execute(
        """
        SELECT ordered_at, provider, kind, coalesce(currency, ''), account FROM jobs
        WHERE price IS NULL AND charge = 0 AND state NOT IN ('not_sent', 'refused') AND ordered_at >= :since
        """,
        {"since": since},
    )
    return Counter(
        (datetime.fromtimestamp(slot_of(moment), zone).date(), provider, kind, currency, account)
        for moment, provider, kind, currency, account in found
    )
