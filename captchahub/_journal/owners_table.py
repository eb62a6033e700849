"""Who works on which jobs of the journal: each a function of an open transaction.

An owner is alive until a time that it puts off again and again. What it has when that is over, others take.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from captchahub._journal.accounts_table import NOBODYS, OF_HUB, OF_PROVIDER, OwnAccounts
from captchahub._journal.jobs_table import SOUGHT
from captchahub._journal.rows import NewJob, by_id, read_entries, token_params
from captchahub._policy.job_token import Token
from captchahub.jobs import JobEntry as Entry

__all__ = [
    "claim",
    "claim_equal",
    "claim_one",
    "expire_dead_owners",
    "heartbeat",
    "mark_undelivered",
    "owners",
    "release",
    "sign_off",
]


def heartbeat(connection: sqlite3.Connection, owner: str, until: float) -> None:
    """Say that an owner is alive until a time: before its first order, and again before that time."""
    connection.execute(
        "INSERT INTO owners VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until",
        (owner, until),
    )


def owners(connection: sqlite3.Connection) -> list[str]:
    """All who have signed on and not off."""
    return [row[0] for row in connection.execute("SELECT id FROM owners")]


def sign_off(connection: sqlite3.Connection, owner: str) -> None:
    """Give everything that an owner has to whoever claims it."""
    connection.execute("DELETE FROM owners WHERE id = ?", (owner,))


def expire_dead_owners(connection: sqlite3.Connection, now: float) -> list[Entry]:
    """Take for ambiguous what dead owners were about to send. Their price stays charged."""
    connection.execute("DELETE FROM owners WHERE alive_until <= ?", (now,))
    lost = [
        row[0]
        for row in connection.execute(
            """
            SELECT id FROM jobs WHERE state IN ('intent', 'created') AND state = 'intent'
                AND owner NOT IN (SELECT id FROM owners)
            """
        )
    ]
    why = "the process that sent it, or was about to, ended before it knew more"
    connection.executemany(
        "UPDATE jobs SET state = 'ambiguous', error = ?, updated_at = ? WHERE id = ? AND state = 'intent'",
        [(why, now, entry_id) for entry_id in lost],
    )
    return by_id(connection, lost)


def claim(
    connection: sqlite3.Connection, owner: str, now: float, limit: int, own: OwnAccounts = NOBODYS
) -> list[Entry]:
    """Take over what is left behind, the oldest first; each job goes to one claimer only.

    It is the created jobs that nobody alive works on, and the answers that nobody has got, of the accounts
    that the claimer has.
    """
    orphans = [
        row[0]
        for row in connection.execute(
            f"""
            SELECT id FROM jobs WHERE state IN ('intent', 'created') AND state = 'created'
                AND owner IS NOT :owner AND {OF_HUB}
                AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.id = jobs.owner AND alive_until > :now)
            UNION ALL
            SELECT id FROM jobs WHERE is_given = 0 AND owner IS NOT :owner AND {OF_HUB}
                AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.id = jobs.owner AND alive_until > :now)
            ORDER BY id LIMIT :limit
            """,  # noqa: S608 - our own condition
            {"owner": owner, "now": now, "limit": limit, **own.of_hub},
        )
    ]
    connection.executemany("UPDATE jobs SET owner = ? WHERE id = ?", [(owner, found) for found in orphans])
    return by_id(connection, orphans)


def claim_one(
    connection: sqlite3.Connection, job: Token, provider: str, own: OwnAccounts, *, owner: str, now: float
) -> Entry | None:
    """Take over a created job of a provider; None where there is none such that nobody alive works on."""
    taken = {**token_params(job, provider, own), "owner": owner, "now": now}
    changed = connection.execute(
        f"""
        UPDATE jobs SET owner = :owner WHERE state = 'created' AND {SOUGHT} AND owner IS NOT :owner
            AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.id = jobs.owner AND alive_until > :now)
        """,  # noqa: S608 - our own condition
        taken,
    )
    if not changed.rowcount:
        return None
    (entry,) = read_entries(
        connection.execute(
            f"""
            SELECT * FROM jobs WHERE state = 'created' AND {SOUGHT} AND owner = :owner
            ORDER BY id DESC LIMIT 1
            """,  # noqa: S608 - our own condition
            taken,
        )
    )
    return entry


def claim_equal(
    connection: sqlite3.Connection,
    order: NewJob,
    *,
    owner: str,
    now: float,
    since: float,
    own: OwnAccounts = NOBODYS,
) -> Entry | None:
    """Take over a shared job for an equal task at the same provider, ordered since a time by a dead one."""
    found = connection.execute(
        f"""
        SELECT * FROM jobs WHERE is_shared = 1 AND fingerprint = :fingerprint AND {OF_PROVIDER}
            AND state = 'created' AND ordered_at >= :since AND owner IS NOT :owner
            AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.id = jobs.owner AND alive_until > :now)
        ORDER BY id DESC LIMIT 1
        """,  # noqa: S608 - our own condition
        {
            "fingerprint": order.fingerprint,
            "since": since,
            "owner": owner,
            "now": now,
            **own.of(order.provider),
        },
    )
    entry = next(iter(read_entries(found)), None)
    if entry is not None:
        connection.execute("UPDATE jobs SET owner = ? WHERE id = ?", (owner, entry.id))
    return entry


def release(connection: sqlite3.Connection, ids: Iterable[int], owner: str) -> None:
    """Leave those of an owner's jobs that are not over, or given to nobody, to whoever claims them."""
    connection.executemany(
        "UPDATE jobs SET owner = NULL WHERE id = ? AND owner = ? AND (state = 'created' OR is_given = 0)",
        [(entry_id, owner) for entry_id in ids],
    )


def mark_undelivered(connection: sqlite3.Connection, entry_id: int, owner: str) -> None:
    """Write down that an owner's answer, for whom it was meant, did not get there after all."""
    connection.execute(
        """
        UPDATE jobs SET is_given = 0, owner = NULL
        WHERE id = ? AND owner = ? AND state = 'solved' AND answer IS NOT NULL
        """,
        (entry_id, owner),
    )
