"""What the ledger says that jobs of no known account cost."""

from __future__ import annotations

from decimal import Decimal

from captchahub._journal.accounts_table import NO_ACCOUNTS
from captchahub._journal.database import Connection
from captchahub._journal.ledger_table import spent_by_hub, spent_by_provider
from captchahub._policy.accounting import from_units, slot_of


def spent(connection: Connection, provider: str | None, since: float) -> Decimal:
    """Return what was charged under a provider's name, or any name, since the slot of a time."""
    if provider is None:
        return from_units(spent_by_hub(connection, NO_ACCOUNTS, slot_of(since)))
    return from_units(spent_by_provider(connection, NO_ACCOUNTS, provider, slot_of(since)))
