"""How many attempts worked and failed of late: pure."""

from __future__ import annotations

import math

import attrs

__all__ = ["OutcomeWindow"]

_SLICES = 10


@attrs.frozen
class OutcomeWindow:
    """How many attempts worked and failed of late, counted in slices of the window."""

    slices: tuple[tuple[int, int, int], ...] = ()

    def with_one(self, *, failed: bool, now: float, window: float) -> OutcomeWindow:
        """The same with one attempt more, and without what has left the window."""
        current = math.floor(now * _SLICES / max(window, 0.001))
        kept = [one for one in self.slices if one[0] > current - _SLICES]
        _, worked, broke = kept.pop() if kept and kept[-1][0] == current else (current, 0, 0)
        return OutcomeWindow((*kept, (current, worked + (not failed), broke + failed)))

    @property
    def failed(self) -> int:
        """How many failed."""
        return sum(broke for _, _, broke in self.slices)

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(worked + broke for _, worked, broke in self.slices)
