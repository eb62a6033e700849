"""The gauges, which show the state of hubs: read from them at each scrape, and after each event."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Gauge, Metric
from prometheus_client.registry import Collector

from captchahub import ProviderState
from captchahub.extending import HubStatus, ProviderStatus
from captchahub.jobs import BudgetStatus

__all__ = ["Gauges"]


class Gauges(Collector):
    """The gauges in one registry.

    Providers of the same name in several hubs share their gauges: jobs in flight are added up; state and
    balance are those of the hub that was created last.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        # Registered before the gauges, so that a scrape brings them up to date before it reads them. They are
        # not made in collect(), because in the multiprocess mode of prometheus_client another process is
        # scraped, which cannot call that: it shows what was set after the last event.
        registry.register(self)
        self._states = Gauge(
            "captchahub_provider_state",
            "1 for the state of the provider, 0 for the others.",
            ("provider", "state"),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._in_flight = Gauge(
            "captchahub_jobs_in_flight",
            "Attempts under way, which max_in_flight limits.",
            ("provider",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._balance = Gauge(
            "captchahub_balance",
            "What is left on the account, in the provider's currency, or NaN if unknown.",
            ("provider",),
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._budget_left = Gauge(
            "captchahub_budget_left",
            "What is left of the budget of a provider, or of that of all providers, or NaN if unknown.",
            ("provider",),
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        # The process of each hub: a forked child has copies of its parent's, whose jobs are not its own.
        self._hubs: WeakKeyDictionary[HubStatus, int] = WeakKeyDictionary()
        self._shown: set[str] = set()
        self._budgets: set[str] = set()

    def watch(self, hub: HubStatus) -> None:
        """Show the state of a hub from now on."""
        self._hubs[hub] = os.getpid()
        self.refresh()

    def describe(self) -> Iterable[Metric]:
        """Return nothing, because the gauges describe themselves."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Bring the gauges up to date. They are collected after this object."""
        self.refresh()
        return ()

    def refresh(self) -> None:
        """Set the gauges to the state of the hubs now, and remove those of providers that are gone."""
        hubs = [hub for hub, process in list(self._hubs.items()) if process == os.getpid()]
        self._refresh_budgets(hubs)
        own = [hub.providers() for hub in hubs]
        now = {name for providers in own for name in providers}
        for name in now:
            self._show(name, [providers[name] for providers in own if name in providers])
        # Not under a lock, because a child that was forked while it was held would find it locked forever. If
        # two threads come here at a time, one of them finds nothing to remove.
        gone, self._shown = self._shown - now, now
        for name in gone:
            self._remove(name)

    def _refresh_budgets(self, hubs: Iterable[HubStatus]) -> None:
        found: dict[str, float] = {}
        for hub in hubs:
            for provider, budget in hub.budgets().items():
                # An empty label is the same as none, and stands for all providers.
                name = provider or ""
                found[name] = found.get(name, math.nan) if budget is None else _left(budget)
        for name, left in found.items():
            self._budget_left.labels(name).set(left)
        gone, self._budgets = self._budgets - found.keys(), set(found)
        for name in gone:
            with suppress(KeyError):
                self._budget_left.remove(name)

    def _show(self, name: str, found: list[ProviderStatus]) -> None:
        for state in ProviderState:
            self._states.labels(name, state.value).set(state is found[-1].state)
        self._in_flight.labels(name).set(sum(one.in_flight for one in found))
        balances = [float(one.balance.amount) for one in found if one.balance is not None]
        self._balance.labels(name).set(balances[-1] if balances else math.nan)

    def _remove(self, name: str) -> None:
        with suppress(KeyError):
            for state in ProviderState:
                self._states.remove(name, state.value)
            self._in_flight.remove(name)
            self._balance.remove(name)


def _left(budget: BudgetStatus) -> float:
    """Return what is left of a budget now: all of it if its period is over since it was read."""
    is_over = budget.until is not None and budget.until <= datetime.now(UTC)
    return float(budget.limit if is_over else budget.left)
