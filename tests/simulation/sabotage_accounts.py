"""The engine broken on purpose, so that processes or accounts are taken for each other.

See :mod:`tests.simulation.sabotage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from captchahub._engine.engine import Engine, ProcessEngine
from captchahub._engine.leased_turns import LeasedTurns
from captchahub._engine.shared_limits import SharedLimits
from captchahub._journal import claims as _claims
from captchahub._journal import ledger_table as _ledger_table
from captchahub._journal import rate_grants_table as _rate_grants_table
from captchahub._journal.accounts_table import OwnAccounts
from captchahub._journal.database import Connection
from captchahub._journal.rate_grants_table import correct as _correct
from captchahub._journal.rate_grants_table import grant as _grant
from captchahub._policy.shared_rate import RateReply, RateRequest, SpentGrant
from captchahub.settings import HubSettings, Rate

__all__ = ["SABOTAGES"]

# pyright: reportPrivateUsage=false
# What is broken here is the inside of the engine.


def engine_of_the_parent(patch: pytest.MonkeyPatch) -> None:
    """A forked child uses its parent's engine, and its name in the journal."""

    def inherited(self: ProcessEngine) -> Engine | None:
        return self._engine

    patch.setattr(ProcessEngine, "made", property(inherited))


def jobs_of_any_account(patch: pytest.MonkeyPatch) -> None:
    """Resuming takes over the jobs of all accounts."""
    patch.setattr(_claims, "OF_HUB", "1 = 1")


def budget_by_name(patch: pytest.MonkeyPatch) -> None:
    """A provider's budget counts what was spent under its name at any account."""
    patch.setattr(_ledger_table, "OF_PROVIDER", "provider = :provider")


def slots_of_each_process(patch: pytest.MonkeyPatch) -> None:
    """Each process has the slots of an account for itself."""

    def share_nothing(_self: SharedLimits, _settings: HubSettings) -> None:
        """Share no account."""

    patch.setattr(SharedLimits, "follow", share_nothing)


def rate_of_each_process(patch: pytest.MonkeyPatch) -> None:
    """Each process has the rate of an account for itself."""

    async def take(_self: LeasedTurns, _rate: Rate, _waiting: int, _until: float) -> Callable[[], None]:
        """Ask nobody."""
        return lambda: None

    patch.setattr(LeasedTurns, "take", take)


def spent_rate_given_back(patch: pytest.MonkeyPatch) -> None:
    """What was created of a grant does not count once the grant is over."""

    def forget(connection: Connection, spent: SpentGrant, owner: str) -> None:
        _correct(connection, attrs.evolve(spent, jobs=0), owner)

    patch.setattr(_rate_grants_table, "correct", forget)


def rate_free_again_late(patch: pytest.MonkeyPatch) -> None:
    """A job counts for the rate for many periods."""

    def grant(
        connection: Connection, own: OwnAccounts, provider: str, request: RateRequest, **rest: Any
    ) -> RateReply:
        slow = Rate(request.rate.jobs, 100 * request.rate.seconds)
        return _grant(connection, own, provider, attrs.evolve(request, rate=slow), **rest)

    patch.setattr(_rate_grants_table, "grant", grant)


SABOTAGES: Mapping[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "lease of the parent": (engine_of_the_parent, "which is dead, can't be collected"),
    "jobs of any account": (jobs_of_any_account, "which is of another account"),
    "budget by name": (budget_by_name, "and its accounts have"),
    "slots of each process": (slots_of_each_process, "are taken by all processes"),
    "rate of each process": (rate_of_each_process, "more jobs than its rate"),
    "spent rate given back": (spent_rate_given_back, "more jobs than its rate"),
    "rate free again late": (rate_free_again_late, "got no turn, and no process"),
}
"""Each with a part of the violation that the simulation must report."""
