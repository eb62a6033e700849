"""The engine broken on purpose, in ways in which such engines are broken: the simulation must detect each.

Each is a change that a careless person could make, and that looks right while nothing fails.
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
"""Each with a part of the violation that the simulation must report."""
