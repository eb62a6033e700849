"""Taking over the jobs of dead hubs, and leaving jobs to other hubs.

Each function runs in an open transaction.

A job without an owner, or whose owner is dead, can be claimed. A job has one owner at a time, and only its
owner polls the service for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import attrs

from captchahub._journal.accounts_table import NO_ACCOUNTS, OF_HUB, OF_PROVIDER, OwnAccounts
from captchahub._journal.database import Connection
from captchahub._journal.rows import COLUMNS, HELD_BY_LIVING, NewJob, read_entries
from captchahub._policy.job_token import Token
from captchahub.jobs import JobEntry, JobState

# What no living hub works on. A hub does not claim its own jobs, because it works on them already.
_CLAIMABLE = f"coalesce(owner, '') <> :owner AND NOT {HELD_BY_LIVING}"


def claim(
    connection: Connection, owner: str, now: float, limit: int, own: OwnAccounts = NO_ACCOUNTS
) -> list[JobEntry]:
    """Take over what is left behind at the hub's accounts, the oldest first; each job goes to one hub only.

    These are the created jobs that no living hub works on, and the answers that no caller has received.
    """
    # "state IN (...)" repeats the condition of the partial index jobs_open, which SQLite uses only if it
    # finds that condition in the query. "is_given = 0" is that of jobs_left.
    found = connection.execute(
        f"""
        SELECT {COLUMNS} FROM jobs
            WHERE state IN ('intent', 'created') AND state = 'created' AND {_CLAIMABLE} AND {OF_HUB}
        UNION ALL
        SELECT {COLUMNS} FROM jobs WHERE is_given = 0 AND {_CLAIMABLE} AND {OF_HUB}
        ORDER BY id LIMIT :limit
        """,  # noqa: S608 - our own conditions
        {"owner": owner, "now": now, "limit": limit, **own.hub},
    )
    return [_taken(connection, entry, owner) for entry in read_entries(found)]


def claim_one(
    connection: Connection, job: Token, provider: str, own: OwnAccounts, *, owner: str, now: float
) -> JobEntry | None:
    """Return the job of a token if it is solved, or take it over if it is created and can be claimed.

    Return None if there is neither. All of the token must match, so that one that was edited changes no other
    job.
    """
    found = connection.execute(
        f"""
        SELECT {COLUMNS} FROM jobs
        WHERE job_id = :job_id AND kind = :kind AND fingerprint = :fingerprint AND {OF_PROVIDER}
            AND (state = 'solved' AND answer IS NOT NULL OR state = 'created' AND {_CLAIMABLE})
        ORDER BY state = 'solved' DESC, id DESC LIMIT 1
        """,  # noqa: S608 - our own conditions
        {
            "job_id": json.dumps(job.job_id),
            "kind": job.kind,
            "fingerprint": job.fingerprint,
            "owner": owner,
            "now": now,
            **own.of(provider),
        },
    )
    entry = next(iter(read_entries(found)), None)
    return entry if entry is None or entry.state is JobState.SOLVED else _taken(connection, entry, owner)


def claim_equal(
    connection: Connection,
    job: NewJob,
    *,
    owner: str,
    now: float,
    since: float,
    own: OwnAccounts = NO_ACCOUNTS,
) -> JobEntry | None:
    """Take over a dead hub's shared job for an equal task at the same provider, if it is not too old."""
    found = connection.execute(
        f"""
        SELECT {COLUMNS} FROM jobs WHERE is_shared = 1 AND fingerprint = :fingerprint AND {OF_PROVIDER}
            AND state = 'created' AND ordered_at >= :since AND {_CLAIMABLE}
        ORDER BY id DESC LIMIT 1
        """,  # noqa: S608 - our own conditions
        {
            "fingerprint": job.fingerprint,
            "since": since,
            "owner": owner,
            "now": now,
            **own.of(job.provider),
        },
    )
    return next((_taken(connection, entry, owner) for entry in read_entries(found)), None)


def _taken(connection: Connection, entry: JobEntry, owner: str) -> JobEntry:
    connection.execute("UPDATE jobs SET owner = :owner WHERE id = :id", {"owner": owner, "id": entry.id})
    return attrs.evolve(entry, owner=owner)


def release(connection: Connection, ids: Iterable[int], owner: str) -> None:
    """Leave those of an owner's jobs that are open, or whose answer no caller has, to any hub."""
    for entry_id in ids:
        connection.execute(
            """
            UPDATE jobs SET owner = NULL
            WHERE id = :id AND owner = :owner AND (state = 'created' OR is_given = 0)
            """,
            {"id": entry_id, "owner": owner},
        )


def mark_undelivered(connection: Connection, entry_id: int, owner: str) -> None:
    """Write down that an owner's answer was not received after all, and leave it to any hub."""
    connection.execute(
        """
        UPDATE jobs SET is_given = 0, owner = NULL
        WHERE id = :id AND owner = :owner AND state = 'solved' AND answer IS NOT NULL
        """,
        {"id": entry_id, "owner": owner},
    )
