"""The jobs that hubs were granted of the rate of an account. Each function runs in an open transaction.

A grant counts for as long as the period of the rate, also after the end of its hub: its jobs may have been
created.
"""

from __future__ import annotations

from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.database import Connection
from captchahub._policy.shared_rate import RateGrant, RateReply, RateRequest, SpentGrant, reply_to


def grant(
    connection: Connection,
    own: OwnAccounts,
    provider: str,
    request: RateRequest,
    *,
    owner: str,
    number: int,
    now: float,
) -> RateReply:
    """Return what a hub may create now, and write it down under a number of the hub's own."""
    for spent in request.spent:
        correct(connection, spent, owner)
    connection.execute("DELETE FROM rate_grants WHERE forget_at <= :now", {"now": now})
    rows = connection.execute(
        """
        SELECT counted_at, jobs, owner FROM rate_grants
        WHERE instr(:accounts, ' ' || account || ' ') > 0 ORDER BY counted_at
        """,
        {"accounts": own.of(provider)["accounts"]},
    )
    reply = reply_to(request, [RateGrant(*row) for row in rows], now, owner)
    # Also a grant of no job, so that the others see that this hub waits, and leave it some.
    counted_at = reply.until if reply.jobs else now
    connection.execute(
        """
        INSERT INTO rate_grants (owner, number, account, jobs, counted_at, forget_at)
        VALUES (:owner, :number, :account, :jobs, :counted_at, :forget_at)
        """,
        {
            "owner": owner,
            "number": number,
            "account": own.number(provider),
            "jobs": reply.jobs,
            "counted_at": counted_at,
            "forget_at": counted_at + request.rate.seconds,
        },
    )
    return reply


def correct(connection: Connection, spent: SpentGrant, owner: str) -> None:
    """Write down what a hub has created of a grant. What it has not created does not count any more."""
    which = {"owner": owner, "number": spent.number}
    if not spent.jobs:
        connection.execute("DELETE FROM rate_grants WHERE owner = :owner AND number = :number", which)
        return
    connection.execute(
        """
        UPDATE rate_grants SET jobs = :jobs, counted_at = :created_at
        WHERE owner = :owner AND number = :number AND counted_at > :created_at
        """,
        {**which, "jobs": spent.jobs, "created_at": spent.created_at},
    )
