"""What the journal is asked and told: each a function of an open transaction and plain values.

Every change names the state that it starts from, and says whether it was made: of two who try, one wins. The
ledger is moved with each charge. Times are wall clock, in seconds since 1970.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import cast

import attrs

from captchahub._journal.accounts_table import NOBODYS, OF_HUB, OF_PROVIDER, OwnAccounts
from captchahub._journal.ledger_table import check_budgets, move
from captchahub._journal.rows import NewJob, read_entries, token_params
from captchahub._policy.budgets import BudgetScope, to_units
from captchahub._policy.job_token import Token
from captchahub.frames import WHOLE
from captchahub.jobs import JobEntry as Entry
from captchahub.jobs import JobState, Spend

__all__ = [
    "ENDED",
    "SOUGHT",
    "Entry",
    "JobState",
    "NewJob",
    "Spend",
    "entries",
    "find_answer",
    "find_equal",
    "is_known",
    "jobs_of",
    "mark_created",
    "mark_delivered",
    "prune",
    "reserve",
    "settle",
    "stop_sharing",
]

_RELEASED = {JobState.NOT_SENT, JobState.REFUSED}

ENDED = {JobState.SOLVED, JobState.FAILED, JobState.EXPIRED} | _RELEASED
"""The states that nothing follows."""

# An intent ends at once at services that answer at once. One that seemed lost can still turn up.
_NEXT = {
    JobState.INTENT: ENDED - {JobState.EXPIRED} | {JobState.AMBIGUOUS},
    JobState.CREATED: ENDED - _RELEASED,
    JobState.AMBIGUOUS: ENDED,
}


def reserve(
    connection: sqlite3.Connection,
    order: NewJob,
    limits: Iterable[BudgetScope],
    *,
    owner: str,
    now: float,
    own: OwnAccounts = NOBODYS,
) -> int:
    """Write down the intent to send an order, with its price where the budgets have room for it; its id.

    ``own`` are the accounts of the hub, that of the order among them. Only the hub's budgets and those of the
    order's provider count. Raises BudgetExceeded, or PriceUnknown where there is such a budget and no price.
    """
    check_budgets(connection, order, limits, now, own)
    account = own.number(order.provider)
    charge = 0 if order.price is None else to_units(order.price)
    added = connection.execute(
        """
        INSERT INTO jobs (submission, state, provider, kind, fingerprint, options, price, price_source,
            currency, charge, owner, is_shared, frame, account, ordered_at, updated_at)
        VALUES (?, 'intent', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            order.submission,
            order.provider,
            order.kind,
            order.fingerprint,
            json.dumps(dict(order.options)),
            None if order.price is None else charge,
            order.price_source,
            _storable(order.currency),
            charge,
            owner,
            order.is_shared,
            None if order.frame == WHOLE else json.dumps(attrs.asdict(order.frame)),
            account,
            now,
            now,
        ),
    )
    line = account, order.provider, order.kind, _storable(order.currency)
    move(connection, line, now, charge=charge, jobs=1)
    return cast("int", added.lastrowid)


def mark_created(
    connection: sqlite3.Connection, entry_id: int, job_id: int | str, *, owner: str | None, now: float
) -> bool:
    """Write down the service's id of a job, so that its answer can be collected.

    A late reply still counts for an intent that was taken for lost. Without an owner, a person has found the
    id of an ambiguous job, and whoever claims it collects the answer.
    """
    changed = connection.execute(
        """
        UPDATE jobs SET state = 'created', job_id = :job_id, error = NULL, owner = :owner,
            is_by_hand = :owner IS NULL, updated_at = :now
        WHERE id = :id
            AND (state = 'ambiguous' AND :owner IS NULL
                OR state IN ('intent', 'ambiguous') AND owner = :owner)
        """,
        {"id": entry_id, "job_id": json.dumps(job_id), "owner": owner, "now": now},
    )
    return changed.rowcount == 1


def settle(
    connection: sqlite3.Connection,
    entry_id: int,
    state: JobState,
    *,
    owner: str | None,
    now: float,
    cost: Decimal | None = None,
    answer: Mapping[str, object] | None = None,
    error: str | None = None,
    is_given: bool = True,
) -> bool:
    """Write down what became of a job, and charge what it costs.

    That is ``cost`` where it is known; else nothing for an order that was not sent or not taken, and the
    reserved price for every other. Without an owner, a person settles a job that is created or ambiguous.
    ``is_given`` is False where there is an answer that nobody has got so far.
    """
    row = connection.execute(
        "SELECT state, owner, charge, ordered_at, account, provider, kind, currency FROM jobs WHERE id = ?",
        (entry_id,),
    ).fetchone()
    if row is None:
        return False
    was, whose, reserved, ordered_at, *line = row
    before = JobState(was)
    is_allowed = state in _NEXT.get(before, ())
    if not is_allowed or (before is JobState.INTENT if owner is None else owner != whose):
        return False
    is_released = state in _RELEASED
    charge = to_units(cost) if cost is not None else 0 if is_released else reserved
    connection.execute(
        """
        UPDATE jobs SET state = ?, charge = ?, answer = ?, error = ?, is_by_hand = ?, is_given = ?,
            updated_at = ?
        WHERE id = ? AND state = ?
        """,
        (
            state.value,
            charge,
            None if answer is None else json.dumps(dict(answer)),
            _storable(error),
            owner is None,
            is_given or answer is None,
            now,
            entry_id,
            was,
        ),
    )
    if charge != reserved or is_released:
        move(connection, tuple(line), ordered_at, charge=charge - reserved, jobs=-is_released)
    return True


def mark_delivered(connection: sqlite3.Connection, entry_id: int) -> None:
    """Write down that somebody has got the answer."""
    connection.execute("UPDATE jobs SET is_given = 1 WHERE id = ? AND is_given = 0", (entry_id,))


def find_answer(connection: sqlite3.Connection, job: Token, provider: str, own: OwnAccounts) -> Entry | None:
    """A job of a provider that is solved, with its answer; None where the journal has none."""
    found = connection.execute(
        f"""
        SELECT * FROM jobs
        WHERE state = 'solved' AND answer IS NOT NULL AND {SOUGHT} ORDER BY id DESC LIMIT 1
        """,  # noqa: S608 - our own condition
        token_params(job, provider, own),
    )
    return next(iter(read_entries(found)), None)


# Only where all of it is as it was: what somebody has changed in a token is to ruin no entry.
SOUGHT = f"job_id = :job_id AND kind = :kind AND fingerprint = :fingerprint AND {OF_PROVIDER}"
"""The condition of SQL for the job of a token, with the values of :func:`sought`."""


def find_equal(
    connection: sqlite3.Connection,
    fingerprint: str,
    *,
    now: float,
    fresh_since: float | None = None,
    own: OwnAccounts = NOBODYS,
) -> Entry | None:
    """A shared job of the hub's accounts for an equal task: solved since a time, else one in living hands."""
    found = connection.execute(
        f"""
        SELECT * FROM jobs WHERE is_shared = 1 AND fingerprint = :fingerprint AND {OF_HUB}
            AND (state = 'solved' AND answer IS NOT NULL AND updated_at >= :fresh_since
                OR state IN ('intent', 'created')
                AND EXISTS (SELECT 1 FROM owners WHERE owners.id = jobs.owner AND alive_until > :now))
        ORDER BY state = 'solved' DESC, id DESC LIMIT 1
        """,  # noqa: S608 - our own condition
        {"fingerprint": fingerprint, "now": now, "fresh_since": fresh_since, **own.of_hub},
    )
    return next(iter(read_entries(found)), None)


def stop_sharing(connection: sqlite3.Connection, entry_id: int) -> bool:
    """Give a job, whose answer was found to be wrong, to no other task."""
    changed = connection.execute("UPDATE jobs SET is_shared = 0 WHERE id = ? AND is_shared = 1", (entry_id,))
    return changed.rowcount == 1


def jobs_of(connection: sqlite3.Connection, provider: str, job_id: int | str, own: OwnAccounts) -> list[int]:
    """The jobs of a provider that have that id."""
    found = connection.execute(
        f"SELECT id FROM jobs WHERE job_id = :job_id AND {OF_PROVIDER}",  # noqa: S608 - our own condition
        {"job_id": json.dumps(job_id), **own.of(provider)},
    )
    return [row[0] for row in found]


def is_known(connection: sqlite3.Connection, provider: str, job_id: int | str) -> bool:
    """Whether there is a job of that id, at a provider of that name, of whatever account."""
    sql = "SELECT 1 FROM jobs WHERE job_id = ? AND provider = ?"
    return connection.execute(sql, (json.dumps(job_id), provider)).fetchone() is not None


def entries(
    connection: sqlite3.Connection, state: JobState | None = None, *, limit: int = 100
) -> list[Entry]:
    """The newest jobs, the newest one first."""
    wanted = None if state is None else state.value
    sql = """
        SELECT jobs.*, CASE WHEN state IN ('intent', 'created') THEN alive_until END AS held_until,
            accounts.plugin, accounts.address
        FROM jobs LEFT JOIN owners ON owners.id = jobs.owner LEFT JOIN accounts ON accounts.id = jobs.account
        WHERE ?1 IS NULL OR state = ?1 ORDER BY jobs.id DESC LIMIT ?2
        """
    return read_entries(connection.execute(sql, (wanted, limit)))


def prune(
    connection: sqlite3.Connection, older_than: float, *, limit: int = 1000, own: OwnAccounts = NOBODYS
) -> int:
    """Forget jobs that ended before a time, so many at once; how many they were. The ledger keeps them.

    An ambiguous job is kept until somebody has settled it, and that of another account until a hub that has
    the account forgets it.
    """
    return connection.execute(
        f"""
        DELETE FROM jobs WHERE id IN (
            SELECT id FROM jobs
            WHERE state IN ('solved', 'failed', 'expired', 'not_sent', 'refused')
                AND updated_at < :older_than AND {OF_HUB}
            ORDER BY updated_at LIMIT :limit)
        """,  # noqa: S608 - our own condition
        {"older_than": older_than, "limit": limit, **own.of_hub},
    ).rowcount


def _storable(text: str | None) -> str | None:
    """The words of a service as SQLite can keep them: without halves of characters."""
    return None if text is None else text.encode(errors="backslashreplace").decode()
