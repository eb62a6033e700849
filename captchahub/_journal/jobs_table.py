"""The jobs: each function reads or changes them in an open transaction.

Every change names the state that it starts from and returns whether it was made: if two hubs try, one wins.
Each charge is added to the ledger in the same transaction. Times are wall clock, in seconds since 1970.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import cast

import attrs

from captchahub._journal.accounts_table import NO_ACCOUNTS, OF_HUB, OF_PROVIDER, OwnAccounts
from captchahub._journal.database import Connection, Cursor
from captchahub._journal.ledger_table import Line, add_to_ledger
from captchahub._journal.rows import COLUMNS, HELD_BY_LIVING, JobFilter, NewJob, read_entries, storable
from captchahub._policy.accounting import to_units
from captchahub.frames import WHOLE
from captchahub.jobs import JobEntry, JobState

# The service never had the job or did not accept it, so its price can be spent again.
_RELEASED = {JobState.NOT_SENT, JobState.REFUSED}

ENDED = {JobState.SOLVED, JobState.FAILED, JobState.EXPIRED} | _RELEASED
"""The states that nothing follows."""

ENDED_AT_PRICE = {JobState.SOLVED, JobState.FAILED}
"""The states that may follow any state of an open job, and that release no price."""

# An intent ends at once at services that answer with the reply to the create. A job that is ambiguous,
# because no reply came, can still turn out to be anything.
_NEXT = {
    JobState.INTENT: ENDED - {JobState.EXPIRED} | {JobState.AMBIGUOUS},
    JobState.CREATED: ENDED - _RELEASED,
    JobState.AMBIGUOUS: ENDED,
}


def insert_intents(
    connection: Connection, jobs: Iterable[NewJob], own: OwnAccounts, *, owner: str, now: float
) -> list[int]:
    """Insert jobs that the hub ``owner`` is about to send, charge their prices, and return their ids."""
    inserted: list[Cursor] = []
    charges: dict[Line, list[int]] = {}
    for job in jobs:
        charge = 0 if job.price is None else to_units(job.price)
        line = own.number(job.provider), job.provider, job.kind, storable(job.currency)
        inserted.append(_insert(connection, job, line, charge=charge, owner=owner, now=now))
        charges.setdefault(line, []).append(charge)
    for line, all_charges in charges.items():
        add_to_ledger(connection, line, now, charge=sum(all_charges), jobs=len(all_charges))
    # Last, because in PostgreSQL looking at a result waits for the server.
    return [cast("int", one.lastrowid) for one in inserted]


def _insert(
    connection: Connection, job: NewJob, line: Line, *, charge: int, owner: str, now: float
) -> Cursor:
    account, provider, kind, currency = line
    return connection.execute(
        """
        INSERT INTO jobs (submission, state, provider, kind, fingerprint, options, price, price_source,
            currency, charge, owner, is_shared, frame, account, label, ordered_at, updated_at)
        VALUES (:submission, 'intent', :provider, :kind, :fingerprint, :options, :price, :price_source,
            :currency, :charge, :owner, :is_shared, :frame, :account, :label, :now, :now)
        """,
        {
            "submission": job.submission,
            "provider": provider,
            "kind": kind,
            "fingerprint": job.fingerprint,
            "options": json.dumps(dict(job.options)) if job.options else "{}",
            "price": None if job.price is None else charge,
            "price_source": job.price_source,
            "currency": currency,
            "charge": charge,
            "owner": owner,
            "is_shared": int(job.is_shared),
            "frame": None if job.frame == WHOLE else json.dumps(attrs.asdict(job.frame)),
            "account": account,
            "label": storable(job.label),
            "now": now,
        },
    )


def mark_created(
    connection: Connection, entry_id: int, job_id: int | str, *, owner: str, now: float
) -> Cursor:
    """Write down the service's id of an owner's job, so that its answer can be collected.

    A late reply also counts for a job that was taken for lost, and is ambiguous by now. It is written down if
    a row was changed.
    """
    return connection.execute(
        """
        UPDATE jobs SET state = 'created', job_id = :job_id, error = NULL, updated_at = :now
        WHERE id = :id AND state IN ('intent', 'ambiguous') AND owner = :owner
        """,
        {"id": entry_id, "job_id": json.dumps(job_id), "owner": owner, "now": now},
    )


def settle_at_price(
    connection: Connection,
    entry_id: int,
    state: JobState,
    *,
    owner: str,
    now: float,
    answer: str | None = None,
    error: str | None = None,
    is_given: bool = True,
) -> Cursor:
    """Do what :func:`settle` does for an owner's job that costs what was reserved for it, in one statement.

    ``state`` is one of :data:`ENDED_AT_PRICE`. It is written down if a row was changed.
    """
    return connection.execute(
        """
        UPDATE jobs SET state = :state, answer = :answer, error = :error, is_by_hand = 0,
            is_given = :is_given, updated_at = :now
        WHERE id = :id AND owner = :owner AND state IN ('intent', 'created', 'ambiguous')
        """,
        {
            "id": entry_id,
            "state": state.value,
            "answer": answer,
            "error": storable(error),
            "is_given": int(is_given or answer is None),
            "owner": owner,
            "now": now,
        },
    )


def settle(
    connection: Connection,
    entry_id: int,
    state: JobState,
    *,
    owner: str | None,
    now: float,
    cost: Decimal | None = None,
    answer: str | None = None,
    error: str | None = None,
    is_given: bool = True,
) -> bool:
    """Write down how a job ended, and charge what it costs.

    ``answer`` is JSON. The charge is ``cost`` if it is known, else nothing for a job that was not sent or was
    refused, and the reserved price for any other. ``is_given`` is False if there is an answer that no caller
    has received yet.

    An owner settles its own jobs only. If ``owner`` is None, a person settles a job that is created or
    ambiguous; one that is just being sent is left to its hub.
    """
    row = connection.execute(
        """
        SELECT state, owner, charge, ordered_at, account, provider, kind, currency FROM jobs WHERE id = :id
        """,
        {"id": entry_id},
    ).fetchone()
    if row is None:
        return False
    state_before, owner_before, reserved, ordered_at, *line = row
    before = JobState(state_before)
    may_settle = before is not JobState.INTENT if owner is None else owner == owner_before
    if not may_settle or state not in _NEXT.get(before, ()):
        return False
    is_released = state in _RELEASED
    charge = to_units(cost) if cost is not None else 0 if is_released else reserved
    connection.execute(
        """
        UPDATE jobs SET state = :state, charge = :charge, answer = :answer, error = :error,
            is_by_hand = :is_by_hand, is_given = :is_given, updated_at = :now
        WHERE id = :id
        """,
        {
            "id": entry_id,
            "state": state.value,
            "charge": charge,
            "answer": answer,
            "error": storable(error),
            "is_by_hand": int(owner is None),
            "is_given": int(is_given or answer is None),
            "now": now,
        },
    )
    if charge != reserved or is_released:
        # At the time when it was created, because the price was reserved in the budget of that period.
        add_to_ledger(connection, tuple(line), ordered_at, charge=charge - reserved, jobs=-is_released)
    return True


def mark_delivered(connection: Connection, entry_id: int) -> None:
    """Write down that a caller has received the answer."""
    connection.execute("UPDATE jobs SET is_given = 1 WHERE id = :id AND is_given = 0", {"id": entry_id})


# What a person looks at in addition: until when the owner of an open job is alive, and the account.
_FOR_PEOPLE = f"""
    SELECT {COLUMNS},
        CASE WHEN state IN ('intent', 'created')
            THEN (SELECT alive_until FROM owners WHERE owners.id = jobs.owner) END,
        (SELECT plugin FROM accounts WHERE accounts.id = jobs.account),
        (SELECT address FROM accounts WHERE accounts.id = jobs.account)
    FROM jobs
"""  # noqa: S608 - our own columns


def get(connection: Connection, entry_id: int) -> JobEntry | None:
    """Return one job, or None if it is not in the journal (any more)."""
    found = connection.execute(f"{_FOR_PEOPLE} WHERE id = :id", {"id": entry_id})
    return next(iter(read_entries(found)), None)


def with_equal(connection: Connection, fingerprints: Iterable[str]) -> set[str]:
    """Return those fingerprints that a shared job has."""
    looks = [
        connection.execute(
            "SELECT fingerprint FROM jobs WHERE is_shared = 1 AND fingerprint = :fingerprint LIMIT 1",
            {"fingerprint": fingerprint},
        )
        for fingerprint in fingerprints
    ]
    return {fingerprint for look in looks for (fingerprint,) in look}


def find_equal(
    connection: Connection,
    fingerprint: str,
    *,
    now: float,
    fresh_since: float | None = None,
    own: OwnAccounts = NO_ACCOUNTS,
    is_awaited: Callable[[JobEntry], bool] = lambda _: True,
) -> JobEntry | None:
    """Return a shared job of the hub's accounts for an equal task, or None if there is none.

    One that was solved since ``fresh_since`` comes first, then the newest one that a living hub works on and
    that ``is_awaited``.
    """
    found = connection.execute(
        f"""
        SELECT {COLUMNS} FROM jobs WHERE is_shared = 1 AND fingerprint = :fingerprint AND {OF_HUB}
            AND (state = 'solved' AND answer IS NOT NULL AND updated_at >= :fresh_since
                OR state IN ('intent', 'created') AND {HELD_BY_LIVING})
        ORDER BY state = 'solved' DESC, id DESC
        """,  # noqa: S608 - our own conditions
        {"fingerprint": fingerprint, "now": now, "fresh_since": fresh_since, **own.hub},
    )
    entries = read_entries(found)
    return next((one for one in entries if one.state is JobState.SOLVED or is_awaited(one)), None)


def stop_sharing(connection: Connection, entry_id: int) -> bool:
    """Share a job no more with equal tasks, because its answer is wrong."""
    changed = connection.execute(
        "UPDATE jobs SET is_shared = 0 WHERE id = :id AND is_shared = 1", {"id": entry_id}
    )
    return changed.rowcount == 1


def jobs_of(connection: Connection, provider: str, job_id: int | str, own: OwnAccounts) -> list[int]:
    """Return the ids of a provider's jobs that the service has given this id."""
    found = connection.execute(
        f"SELECT id FROM jobs WHERE job_id = :job_id AND {OF_PROVIDER}",  # noqa: S608 - our own condition
        {"job_id": json.dumps(job_id), **own.of(provider)},
    )
    return [row[0] for row in found]


def is_known(connection: Connection, provider: str, job_id: int | str) -> bool:
    """Return whether any account has a job with this id under this provider's name."""
    found = connection.execute(
        "SELECT 1 FROM jobs WHERE job_id = :job_id AND provider = :provider",
        {"job_id": json.dumps(job_id), "provider": provider},
    )
    return found.fetchone() is not None


_ALL_JOBS = JobFilter()


def newest_jobs(connection: Connection, wanted: JobFilter = _ALL_JOBS) -> list[JobEntry]:
    """Return the newest jobs that are wanted, the newest one first."""
    found = connection.execute(
        f"""
        {_FOR_PEOPLE}
        WHERE state = coalesce(:state, state) AND provider = coalesce(:provider, provider)
            AND is_given = coalesce(:is_given, is_given) AND ordered_at >= :since
        ORDER BY id DESC LIMIT :limit
        """,
        {
            "state": None if wanted.state is None else wanted.state.value,
            "provider": wanted.provider,
            "is_given": None if wanted.is_given is None else int(wanted.is_given),
            "since": wanted.since,
            "limit": wanted.limit,
        },
    )
    return read_entries(found)


def prune(
    connection: Connection, older_than: float, *, limit: int = 1000, own: OwnAccounts = NO_ACCOUNTS
) -> int:
    """Delete up to ``limit`` jobs that ended before a time, and return how many. The ledger keeps their cost.

    An ambiguous job is kept until a person has settled it. A job of another account is left to the hubs that
    have the account, because they may keep jobs for longer.
    """
    # The list of states is that of the partial index jobs_ended, which SQLite uses only if it is repeated
    # literally.
    return connection.execute(
        f"""
        DELETE FROM jobs WHERE id IN (
            SELECT id FROM jobs
            WHERE state IN ('solved', 'failed', 'expired', 'not_sent', 'refused')
                AND updated_at < :older_than AND {OF_HUB}
            ORDER BY updated_at LIMIT :limit)
        """,  # noqa: S608 - our own condition
        {"older_than": older_than, "limit": limit, **own.hub},
    ).rowcount
