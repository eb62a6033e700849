"""The providers that the hubs of a journal do not use now. Each function runs in an open transaction.

A row is the state of a circuit breaker in a process, and ends with it: the next process begins with healthy
providers. So only the rows of living hubs count, and of these the cooldowns that are not over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.database import Connection
from captchahub._policy.refusals import Refusals
from captchahub.results import HealthEntry, ProviderState

if TYPE_CHECKING:
    from captchahub._policy.health_record import HealthRecord


def replace(
    connection: Connection, own: OwnAccounts, *, owner: str, records: Mapping[str, HealthRecord]
) -> None:
    """Write down which providers of a hub are not healthy, by name, instead of what was there of it."""
    connection.execute("DELETE FROM health WHERE owner = :owner", {"owner": owner})
    for name, record in records.items():
        connection.execute(
            """
            INSERT INTO health (owner, provider, account, state, error, until, changed_at)
            VALUES (:owner, :provider, :account, :state, :error, :until, :changed_at)
            """,
            {
                "owner": owner,
                "provider": name,
                "account": own.number(name),
                "state": record.state.value,
                "error": record.error,
                "until": record.until,
                "changed_at": record.changed_at,
            },
        )


def remove_of_dead(connection: Connection) -> None:
    """Delete what hubs that are not alive any more have left."""
    connection.execute("DELETE FROM health WHERE owner NOT IN (SELECT id FROM owners)")


def present(
    connection: Connection, own: OwnAccounts, now: float, is_dead: Callable[[str], bool]
) -> list[HealthEntry]:
    """Return what living hubs have recorded, except cooldowns that are over, the latest change first.

    ``is_dead`` recognizes a hub that has ended before its time in the journal is over.
    """
    rows = connection.execute(
        """
        SELECT owner, provider, health.account, plugin, address, state, error, until, changed_at
        FROM health JOIN owners ON owners.id = health.owner LEFT JOIN accounts ON accounts.id = health.account
        WHERE alive_until > :now AND (until IS NULL OR until > :now)
        ORDER BY changed_at DESC, owner, provider
        """,
        {"now": now},
    )
    return [
        HealthEntry(
            provider=provider,
            state=ProviderState(state),
            error=error,
            since=datetime.fromtimestamp(changed_at, UTC),
            until=None if until is None else datetime.fromtimestamp(until, UTC),
            owner=owner,
            account=account or None,
            plugin=plugin,
            address=address,
            configured_as=own.name_of(provider, account or None),
        )
        for owner, provider, account, plugin, address, state, error, until, changed_at in rows
        if not is_dead(owner)
    ]


def refusals(connection: Connection, own: OwnAccounts, provider: str, *, owner: str, now: float) -> Refusals:
    """Return what living hubs, except one, have found out about the account of a provider."""
    accounts = own.of(provider)["accounts"]
    (revived_at,) = connection.execute(
        "SELECT max(revived_at) FROM revivals WHERE instr(:accounts, ' ' || account || ' ') > 0",
        {"accounts": accounts},
    ).fetchone()
    row = connection.execute(
        """
        SELECT error FROM health JOIN owners ON owners.id = health.owner
        WHERE state = 'out' AND owner <> :owner AND alive_until > :now
            AND instr(:accounts, ' ' || account || ' ') > 0 AND changed_at > :since
        ORDER BY changed_at DESC LIMIT 1
        """,
        {
            "owner": owner,
            "now": now,
            "accounts": accounts,
            "since": 0.0 if revived_at is None else revived_at,
        },
    ).fetchone()
    return Refusals(None if row is None else row[0], revived_at)


def record_revival(connection: Connection, account: int, now: float) -> None:
    """Write down that the service does not refuse an account any more."""
    connection.execute(
        """
        INSERT INTO revivals (account, revived_at) VALUES (:account, :now)
        ON CONFLICT (account) DO UPDATE SET revived_at = excluded.revived_at
        """,
        {"account": account, "now": now},
    )
