"""What plugins can read of a hub, from any thread: its providers and its budgets, as they were read last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from captchahub._providers.account import Account
from captchahub._providers.registry import ProviderRegistry
from captchahub.extending import HubStatus, ProviderStatus
from captchahub.jobs import BudgetStatus
from captchahub.provider import Balance
from captchahub.settings import HubSettings


class EngineStatus(HubStatus):
    """Reads the accounts without a lock: each value is replaced in one step by the hub's thread."""

    def __init__(self, accounts: ProviderRegistry, settings: HubSettings) -> None:
        self._accounts = accounts
        # By account and not by name, so that a reload forgets those of accounts that are gone.
        self._balances: WeakKeyDictionary[Account, Balance] = WeakKeyDictionary()
        self.follow(settings)

    def follow(self, settings: HubSettings) -> None:
        """Have the budgets of these settings from now on. What was spent of them is read anew."""
        self._budgets: Mapping[str | None, BudgetStatus | None] = {
            **({} if settings.budget is None else {None: None}),
            **{name: None for name, own in settings.providers.items() if own.budget is not None},
        }

    def take_budgets(self, found: Iterable[BudgetStatus]) -> None:
        """Keep what the journal has returned of the budgets."""
        self._budgets = {one.provider: one for one in found}

    def take_balance(self, account: Account, balance: Balance) -> None:
        """Keep the balance that a service has returned."""
        self._balances[account] = balance

    def providers(self) -> Mapping[str, ProviderStatus]:
        """Return the status of each provider by name."""
        return {
            name: ProviderStatus(
                state=account.admission.health.state,
                in_flight=account.admission.slots.taken,
                balance=self._balances.get(account),
            )
            for name, account in self._accounts.current.items()
        }

    def budgets(self) -> Mapping[str | None, BudgetStatus | None]:
        """Return what is known of each budget, by its provider."""
        return self._budgets
