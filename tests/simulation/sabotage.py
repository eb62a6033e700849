"""The engine broken on purpose, in the ways in which such engines are broken: the simulation must see each.

Every one is a change that a careless person could make, and that passes for right while nothing goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.simulation import sabotage_accounts, sabotage_money, sabotage_patience

__all__ = ["SABOTAGES", "Sabotage"]

Sabotage = Callable[[pytest.MonkeyPatch], None]

SABOTAGES: Mapping[str, tuple[Sabotage, str]] = {
    **sabotage_money.SABOTAGES,
    **sabotage_patience.SABOTAGES,
    **sabotage_accounts.SABOTAGES,
}
"""Each with what the simulation should say of it."""
