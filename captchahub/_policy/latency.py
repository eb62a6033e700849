"""How fast a provider is with one kind of task: learned from its attempts, pure but for what it keeps."""

from __future__ import annotations

import math
from collections import deque

import attrs

__all__ = ["LatencyStats"]

_KEPT = 128

# A provider that was slow once is given another chance after this time, in seconds.
_FRESH = 600.0

# What an attempt should have, in seconds, where nobody knows how long they take.
_FAIR = 20.0

# Fewer answers say nothing of a percentile.
_ENOUGH = 20


@attrs.frozen
class _Sample:
    ended: float
    seconds: float
    has_answer: bool


@attrs.define
class LatencyStats:
    """The latest attempts that came to a job: how long each took, and whether it brought an answer."""

    _samples: deque[_Sample] = attrs.field(factory=lambda: deque(maxlen=_KEPT))
    # The times of the answers in order: looked at several times for each that is learned.
    _sorted: list[float] | None = None

    def learn(self, now: float, seconds: float, *, has_answer: bool) -> None:
        """Note an attempt that ended now."""
        self._samples.append(_Sample(now, seconds, has_answer))
        self._sorted = None

    def seconds_per_answer(self, now: float) -> float | None:
        """The seconds spent for each answer of late; None where nothing is known.

        Time that brought no answer counts too, so a provider that mostly fails is a slow one.
        """
        fresh = [one for one in self._samples if one.ended > now - _FRESH]
        if not fresh:
            return None
        answers = sum(one.has_answer for one in fresh)
        return sum(one.seconds for one in fresh) / answers if answers else math.inf

    def typical_time(self) -> float:
        """The seconds that an attempt should have: twice what it takes usually."""
        usual = self.percentile(50)
        return _FAIR if usual is None else 2 * usual

    def percentile(self, rank: int) -> float | None:
        """The seconds that so many of a hundred answers did not exceed; None while too few are known."""
        if self._sorted is None:
            self._sorted = sorted(one.seconds for one in self._samples if one.has_answer)
        known = self._sorted
        if len(known) < _ENOUGH:
            return None
        return known[max(0, math.ceil(len(known) * rank / 100) - 1)]
