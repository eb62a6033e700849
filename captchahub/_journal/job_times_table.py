"""What hubs have learned of how long jobs take, by account and kind of task.

Each function runs in an open transaction. Hubs do not add up what they have learned: the last one that writes
wins, because each of them began with what was there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from captchahub._journal import accounts_table
from captchahub._journal.database import Connection

if TYPE_CHECKING:
    from captchahub._policy.account_identity import AccountIdentity

# A service may have changed since then, in seconds: 30 days.
_KEEP = 30 * 86_400.0


def find(connection: Connection, identity: AccountIdentity, kind: str, now: float) -> str | None:
    """Return what was learned at an account, or None if that is nothing, or too old."""
    row = connection.execute(
        "SELECT learned FROM job_times WHERE account = :account AND kind = :kind AND updated_at >= :since",
        {"account": _number(connection, identity), "kind": kind, "since": now - _KEEP},
    ).fetchone()
    return None if row is None else str(row[0])


def replace(connection: Connection, learned: Mapping[tuple[AccountIdentity, str], str], now: float) -> None:
    """Write down what was learned, by account and kind, instead of what was there of it."""
    for (identity, kind), text in learned.items():
        number = _number(connection, identity)
        if number is None:
            continue
        connection.execute(
            """
            INSERT INTO job_times (account, kind, learned, updated_at)
            VALUES (:account, :kind, :learned, :now)
            ON CONFLICT (account, kind) DO UPDATE
            SET learned = excluded.learned, updated_at = excluded.updated_at
            """,
            {"account": number, "kind": kind, "learned": text, "now": now},
        )


def _number(connection: Connection, identity: AccountIdentity) -> int | None:
    """Return the number of an account for new jobs, or None if it has no job yet."""
    numbers = accounts_table.find(connection, identity.digests(accounts_table.mark_key(connection)))
    return numbers[0] if numbers else None


def prune(connection: Connection, now: float) -> None:
    """Delete what is too old."""
    connection.execute("DELETE FROM job_times WHERE updated_at < :since", {"since": now - _KEEP})
