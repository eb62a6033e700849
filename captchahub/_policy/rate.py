"""How many orders a time may see: pure, and the caller passes the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from captchahub.settings import Rate

__all__ = ["SlidingWindow"]


class SlidingWindow:
    """Keeps to a rate exactly: no window of its length ever sees more orders than it allows.

    ``before`` is a window of another rate, whose orders count as far as they are known.
    """

    def __init__(self, rate: Rate, before: SlidingWindow | None = None) -> None:
        self._jobs = rate.jobs
        self._seconds = rate.seconds
        self._latest: deque[float] = deque(() if before is None else before.latest, maxlen=rate.jobs)

    @property
    def latest(self) -> Sequence[float]:
        """When the latest orders were given, as many as its rate allows."""
        return tuple(self._latest)

    def opens_at(self, now: float) -> float:
        """When the next order may be given: now, or later."""
        if len(self._latest) < self._jobs:
            return now
        return max(now, self._latest[0] + self._seconds)

    def take(self, now: float) -> None:
        """Note an order."""
        self._latest.append(now)
