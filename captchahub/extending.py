"""The values that hooks exchange with the engine, besides tasks, solutions and events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal

import attrs

from captchahub.frames import WHOLE, Frame
from captchahub.jobs import BudgetStatus
from captchahub.provider import Balance
from captchahub.results import ProviderState
from captchahub.tasks import Solution, Task

__all__ = ["Candidate", "HubStatus", "Prepared", "ProviderStatus"]


@attrs.frozen
class Prepared:
    """A task as one provider will receive it.

    ``frame`` is where its picture lies in the picture of the original task. It is stored in the journal, so
    that a process that collects the job later can also map the coordinates of the answer back.
    """

    task: Task[Solution]
    frame: Frame = WHOLE


@attrs.frozen
class Candidate:
    """A provider that can solve a task, and what is known about it.

    ``plugin`` is the name of its kind. ``price`` is what a job costs there, in the provider's currency.
    ``seconds`` is the recent time per answer, including the time lost to failures; it is infinite if nothing
    but failures came. Both are None if unknown.
    """

    name: str
    plugin: str
    price: Decimal | None = None
    seconds: float | None = None
    state: ProviderState = ProviderState.HEALTHY


@attrs.frozen
class ProviderStatus:
    """What is known of a provider at one moment.

    ``state`` is that of its circuit breaker. ``in_flight`` is the number of attempts under way, which
    ``max_in_flight`` limits. ``balance`` is what ``hub.balances()`` returned last, or None if it has not
    returned one.
    """

    state: ProviderState
    in_flight: int
    balance: Balance | None = None


class HubStatus(ABC):
    """What a plugin can read of a hub at any time and in any thread. Reading it calls no service."""

    @abstractmethod
    def providers(self) -> Mapping[str, ProviderStatus]:
        """Return the status of each provider that the hub has now, by name."""

    @abstractmethod
    def budgets(self) -> Mapping[str | None, BudgetStatus | None]:
        """Return what ``hub.budgets()`` returned last of each budget, or None if it has not been called.

        The key is the provider that the budget limits, or None for all providers together.
        """
