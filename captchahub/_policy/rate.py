"""When a rate limit allows the next job. Pure: the caller passes the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from captchahub.settings import Rate


class SlidingWindow:
    """Keeps to a rate exactly: no period of its length ever has more jobs than it allows.

    A counter that starts again each minute would allow twice the rate around the turn of the minute.

    ``before`` is the window of an earlier rate, whose jobs count as far as they are known.
    """

    def __init__(self, rate: Rate, before: SlidingWindow | None = None) -> None:
        self._jobs = rate.jobs
        self._seconds = rate.seconds
        # Only the latest are needed: the oldest of them makes room for the next job.
        self._latest: deque[float] = deque(() if before is None else before.latest, maxlen=rate.jobs)

    @property
    def latest(self) -> Sequence[float]:
        """The times of the latest jobs, at most as many as the rate allows."""
        return tuple(self._latest)

    def opens_at(self, now: float) -> float:
        """Return when the next job is allowed: now, or later."""
        if len(self._latest) < self._jobs:
            return now
        return max(now, self._latest[0] + self._seconds)

    def take(self, now: float) -> None:
        """Count a job."""
        self._latest.append(now)

    def give_back(self, taken: float) -> None:
        """Count the job of a time no more, because it was not created."""
        # Its place may have been given to another job meanwhile.
        if taken in self._latest:
            self._latest.remove(taken)
