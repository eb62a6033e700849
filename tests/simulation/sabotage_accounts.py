"""The engine broken on purpose, so that processes or accounts are taken for each other.

See :mod:`tests.simulation.sabotage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from captchahub._engine.engine import Engine, ProcessEngine
from captchahub._engine.shared_limits import SharedLimits
from captchahub._journal import claims as _claims
from captchahub._journal import ledger_table as _ledger_table
from captchahub.settings import HubSettings

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


SABOTAGES: Mapping[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "lease of the parent": (engine_of_the_parent, "which is dead, can't be collected"),
    "jobs of any account": (jobs_of_any_account, "which is of another account"),
    "budget by name": (budget_by_name, "and its accounts have"),
    "slots of each process": (slots_of_each_process, "are taken by all processes"),
}
"""Each with a part of the violation that the simulation must report."""
