"""The slots that hubs hold of the limit ``max_in_flight`` of an account.

Each function runs in an open transaction. A row ends with its hub: the slots of a dead one are free.
"""

from __future__ import annotations

from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.database import Connection
from captchahub._policy.shared_slots import SlotClaim


def others(
    connection: Connection, own: OwnAccounts, provider: str, *, owner: str, lease: int, now: float
) -> list[SlotClaim]:
    """Return what all leases of living hubs on the account of a provider are, except one."""
    rows = connection.execute(
        """
        SELECT slots, needed, waiting_since, asked_at
        FROM leased_slots JOIN owners ON owners.id = leased_slots.owner
        WHERE instr(:accounts, ' ' || account || ' ') > 0 AND alive_until > :now
            AND NOT (owner = :owner AND lease = :lease)
        """,
        {"accounts": own.of(provider)["accounts"], "owner": owner, "lease": lease, "now": now},
    )
    return [SlotClaim(*row) for row in rows]


def find(connection: Connection, *, owner: str, lease: int) -> SlotClaim | None:
    """Return what a lease of a hub is, or None if it has none."""
    row = connection.execute(
        """
        SELECT slots, needed, waiting_since, asked_at FROM leased_slots
        WHERE owner = :owner AND lease = :lease
        """,
        {"owner": owner, "lease": lease},
    ).fetchone()
    return None if row is None else SlotClaim(*row)


def replace(connection: Connection, account: int, claim: SlotClaim, *, owner: str, lease: int) -> None:
    """Write down what a lease of a hub is now."""
    connection.execute(
        """
        INSERT INTO leased_slots (owner, lease, account, slots, needed, waiting_since, asked_at)
        VALUES (:owner, :lease, :account, :slots, :needed, :waiting_since, :asked_at)
        ON CONFLICT (owner, lease) DO UPDATE
        SET account = excluded.account, slots = excluded.slots, needed = excluded.needed,
            waiting_since = excluded.waiting_since, asked_at = excluded.asked_at
        """,
        {
            "owner": owner,
            "lease": lease,
            "account": account,
            "slots": claim.held,
            "needed": claim.needed,
            "waiting_since": claim.waiting_since,
            "asked_at": claim.asked_at,
        },
    )


def remove(connection: Connection, *, owner: str, lease: int) -> None:
    """Delete a lease of a hub, which holds and needs no slot."""
    connection.execute(
        "DELETE FROM leased_slots WHERE owner = :owner AND lease = :lease", {"owner": owner, "lease": lease}
    )


def remove_of_dead(connection: Connection) -> None:
    """Delete what hubs that are not alive any more have left."""
    connection.execute("DELETE FROM leased_slots WHERE owner NOT IN (SELECT id FROM owners)")
