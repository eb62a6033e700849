"""How many attempts succeeded and failed recently. Pure: the caller passes the time."""

from __future__ import annotations

import math

import attrs

__all__ = ["OutcomeWindow"]

# The window moves on by a tenth of its length. So it is at most a tenth too short, and a busy provider needs
# ten numbers instead of one for each attempt.
_SLICES = 10


@attrs.frozen
class OutcomeWindow:
    """How many attempts succeeded and failed within a window of time.

    ``slices`` has a tuple for each tenth of the window with attempts: its number, successes and failures.
    """

    slices: tuple[tuple[int, int, int], ...] = ()

    def with_one(self, *, failed: bool, now: float, window: float) -> OutcomeWindow:
        """Return the window with one more attempt, and without what is older than ``window`` seconds."""
        current = math.floor(now * _SLICES / max(window, 0.001))
        kept = [one for one in self.slices if one[0] > current - _SLICES]
        _, succeeded, failures = kept.pop() if kept and kept[-1][0] == current else (current, 0, 0)
        return OutcomeWindow((*kept, (current, succeeded + (not failed), failures + failed)))

    @property
    def failed(self) -> int:
        """The number of failures."""
        return sum([failures for _, _, failures in self.slices])

    @property
    def total(self) -> int:
        """The number of attempts."""
        return sum([succeeded + failures for _, succeeded, failures in self.slices])
