"""How fast a provider solves one kind of task, from its latest attempts. The caller passes the time."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

import attrs

# The number of attempts that are remembered: enough for a 95th percentile, and soon replaced if a service
# changes.
_MAX_SAMPLES = 128

# An attempt counts for the order of the providers for this time, in seconds. Then a provider that was slow
# counts as one that is not known yet, so that it is tried again.
_MAX_AGE = 600.0

# The time that an attempt should have, in seconds, while nothing is known: about twice the longest time that
# a picture usually takes, which is 3 to 9 seconds (see the emulations of the plugins).
_DEFAULT_TIME = 20.0

# Fewer answers say too little about a percentile: of 20, one is beyond the 95th.
_MIN_ANSWERS = 20


@attrs.frozen
class _Sample:
    ended: float
    seconds: float
    has_answer: bool


@attrs.define
class LatencyStats:
    """The latest attempts that created a job: how long each took, and whether it brought an answer."""

    _samples: deque[_Sample] = attrs.field(init=False, factory=deque[_Sample])
    # The times of the samples with an answer, sorted: a percentile is read several times in each solve, and
    # changes once.
    _answers: list[float] = attrs.field(init=False, factory=list[float])
    # The samples that count for the order, the seconds that they took, and how many have an answer.
    _recent: deque[_Sample] = attrs.field(init=False, factory=deque[_Sample])
    _recent_seconds: float = attrs.field(init=False, default=0.0)
    _recent_answers: int = attrs.field(init=False, default=0)

    def learn(self, now: float, seconds: float, *, has_answer: bool) -> None:
        """Record an attempt that ends now and took ``seconds``."""
        sample = _Sample(now, seconds, has_answer)
        self._samples.append(sample)
        self._recent.append(sample)
        self._recent_seconds += seconds
        self._recent_answers += has_answer
        if has_answer:
            insort(self._answers, seconds)
        if len(self._samples) > _MAX_SAMPLES:
            oldest = self._samples.popleft()
            if self._recent[0] is oldest:
                self._drop_recent()
            if oldest.has_answer:
                del self._answers[bisect_left(self._answers, oldest.seconds)]

    def seconds_per_answer(self, now: float) -> float | None:
        """Return the seconds spent for each recent answer, or None if there was no recent attempt.

        The time of attempts without an answer counts too, so a provider that mostly fails is a slow one. The
        result is infinite if none brought an answer.
        """
        while self._recent and self._recent[0].ended <= now - _MAX_AGE:
            self._drop_recent()
        if not self._recent:
            return None
        return self._recent_seconds / self._recent_answers if self._recent_answers else math.inf

    def _drop_recent(self) -> None:
        dropped = self._recent.popleft()
        self._recent_answers -= dropped.has_answer
        # From zero again, so that no rounding is left over.
        self._recent_seconds = self._recent_seconds - dropped.seconds if self._recent else 0.0

    def typical_time(self) -> float:
        """Return the time that an attempt should have, in seconds: twice the median."""
        median = self.percentile(50)
        return _DEFAULT_TIME if median is None else 2 * median

    def percentile(self, rank: int) -> float | None:
        """Return the seconds that ``rank`` percent of the answers did not exceed, or None for too few."""
        count = len(self._answers)
        if count < _MIN_ANSWERS:
            return None
        return self._answers[max(0, math.ceil(count * rank / 100) - 1)]
