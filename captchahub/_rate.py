"""How many orders a time may see: pure, and the caller passes the time."""

from __future__ import annotations

from collections import deque

from captchahub.settings import Rate

__all__ = ["RateWindow"]


class RateWindow:
    """Keeps to a rate exactly: no window of its length ever sees more orders than it allows."""

    def __init__(self, rate: Rate) -> None:
        self._jobs = rate.jobs
        self._seconds = rate.seconds
        self._latest: deque[float] = deque(maxlen=rate.jobs)

    def opens_at(self, now: float) -> float:
        """When the next order may be given: now, or later."""
        if len(self._latest) < self._jobs:
            return now
        return max(now, self._latest[0] + self._seconds)

    def take(self, now: float) -> None:
        """Note an order."""
        self._latest.append(now)
