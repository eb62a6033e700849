"""The jobs that hubs were granted of the rate of an account. Each function runs in an open transaction.

A grant counts for as long as the period of the rate, also after the end of its hub: its jobs may have been
created. A hub that is busy for all of a long period would leave a row for each second, and each request reads
all rows: so the grants of a hub are merged once there are a hundred.
"""

from __future__ import annotations

from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.database import Connection
from captchahub._policy.shared_rate import (
    AHEAD,
    RateGrant,
    RateReply,
    RateRequest,
    SpentGrant,
    merged,
    reply_to,
)

# The numbers of merged grants are that far apart for each call; there are fewer of them.
_MOST_MERGED = 1000


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
    accounts = own.of(provider)["accounts"]
    rows = connection.execute(
        """
        SELECT counted_at, jobs, owner FROM rate_grants
        WHERE instr(:accounts, ' ' || account || ' ') > 0 ORDER BY counted_at
        """,
        {"accounts": accounts},
    )
    grants = [RateGrant(*row) for row in rows]
    reply = reply_to(request, grants, now, owner)
    # Also a grant of no job, so that the others see that this hub waits, and leave it some.
    given = RateGrant(reply.until if reply.jobs else now, reply.jobs, owner)
    _insert(connection, given, request, account=own.number(provider), number=number)
    over = now - AHEAD
    few = merged([one for one in grants if one.hub == owner and one.counted_at < over], request.rate, now)
    if few is not None:
        # The hub corrects them no more.
        connection.execute(
            """
            DELETE FROM rate_grants
            WHERE owner = :owner AND counted_at < :over AND instr(:accounts, ' ' || account || ' ') > 0
            """,
            {"owner": owner, "over": over, "accounts": accounts},
        )
        for index, one in enumerate(few, 1):
            # Below zero, because the hub gives its grants the numbers above it.
            below = index - (number + 1) * _MOST_MERGED
            _insert(connection, one, request, account=own.number(provider), number=below)
    return reply


def _insert(
    connection: Connection, grant: RateGrant, request: RateRequest, *, account: int, number: int
) -> None:
    connection.execute(
        """
        INSERT INTO rate_grants (owner, number, account, jobs, counted_at, forget_at)
        VALUES (:owner, :number, :account, :jobs, :counted_at, :forget_at)
        """,
        {
            "owner": grant.hub,
            "number": number,
            "account": account,
            "jobs": grant.jobs,
            "counted_at": grant.counted_at,
            "forget_at": grant.counted_at + request.rate.seconds,
        },
    )


def correct(connection: Connection, spent: SpentGrant, owner: str) -> None:
    """Write down what a hub has created of a grant. What it has not created does not count any more."""
    which = {"owner": owner, "number": spent.number}
    if not spent.jobs:
        connection.execute("DELETE FROM rate_grants WHERE owner = :owner AND number = :number", which)
        return
    connection.execute(
        """
        UPDATE rate_grants SET jobs = :jobs, counted_at = :created_at
        WHERE owner = :owner AND number = :number AND counted_at >= :created_at
        """,
        {**which, "jobs": spent.jobs, "created_at": spent.created_at},
    )
