"""What is known of how long the jobs of one provider and task kind take. Pure.

The time of a job is never seen, only the polls around it: its answer was ready after the last poll that found
it pending, and by the poll that found the answer. A job that was given up took longer than its last poll. An
estimate that counted the time of the finding poll would move later with each job, because that poll follows
the estimate. So each job only changes how likely the explanations of what was seen are.

An explanation is a log-normal distribution, as waiting times usually have: a median and a spread. All of them
are weighed, in a table of fixed size. After each job an explanation counts as much as it made the observation
likely (Bayes' rule). Before each job the service may have changed, so a small share of the weight is spread
over all explanations again. That is how old jobs lose their influence: slowly while a service stays as it is,
and within a few jobs once it has changed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from functools import cache

# The times at which shares are known, in seconds: 6 % apart, from far below any service to ten minutes.
_STEP = 0.06
_SHORTEST = 0.05
_COUNT = 160

TIMES: Sequence[float] = tuple(_SHORTEST * math.exp(_STEP * place) for place in range(_COUNT))
"""The times for which :meth:`JobTimes.shares_done` has the shares, in seconds, in ascending order."""

# The spreads: the standard deviations of the logarithm of the time. The least is that of a machine, the
# largest that of a service where some jobs take ten times as long as others.
_SPREADS = (0.08, 0.14, 0.25, 0.45, 0.8)

# The share of jobs that may take any time, whatever the explanation, and the spread of these. Without it, a
# single job that waited in a queue would rule out the right explanation.
_STRAY = 0.005
_STRAY_SPREAD = 1.5

# The chance that a service has changed since the job before.
_CHANGE = 0.02

# What a picture takes at most services, in seconds. Then how far the median of another service, or of a
# changed one, may be from that, and how far from what the service itself calls usual; both are spreads.
_USUAL = 3.0
_ANY_SERVICE = 1.2
_THIS_SERVICE = 0.5

# Of more jobs than this that were not weighed yet, only the latest are. A hub that ends hundreds of jobs a
# second learns enough from some of them.
_MOST_UNREAD = 32

# Weights that are smaller than this share of the largest are left out of the shares.
_NEGLIGIBLE = 0.05

_NONE = [0.0] * (_COUNT * len(_SPREADS))
_ALL = [1.0] * (_COUNT * len(_SPREADS))


def _share_done(spread: float, distance: int) -> float:
    """Return the share of jobs done at a time that is so many steps after the median."""

    def normal(width: float) -> float:
        return 0.5 * (1.0 + math.erf(distance * _STEP / width / math.sqrt(2.0)))

    return (1.0 - _STRAY) * normal(spread) + _STRAY * normal(_STRAY_SPREAD)


@cache
def _curves() -> Sequence[Sequence[float]]:
    """Return for each spread the share of jobs done, from the longest distance before the median on."""
    distances = range(-_COUNT, _COUNT + 1)
    return [[_share_done(spread, distance) for distance in distances] for spread in _SPREADS]


@cache
def _shares_by(place: int) -> Sequence[float]:
    """Return the share of jobs done at one time, for each explanation in the order of the weights."""
    return [share for curve in _curves() for share in curve[_COUNT + place : place : -1]]


class JobTimes:
    """How long jobs take, learned from those that ended. Times are in seconds.

    ``usual`` is what a job usually takes according to the service or its plugin, or None if they do not say.
    """

    def __init__(self, usual: float | None = None) -> None:
        # For each spread, one weight for each median.
        self._changed = _weights_around(_USUAL if usual is None else usual, _ANY_SERVICE)
        self._weights = self._changed if usual is None else _weights_around(usual, _THIS_SERVICE)
        self._unread: deque[tuple[int, int]] = deque(maxlen=_MOST_UNREAD)

    def learn(self, after: float, by: float | None) -> None:
        """Record a job whose answer was ready later than ``after`` and by ``by``, or None if unknown."""
        low = _place(after)
        if low < _COUNT:
            self._unread.append((low, _COUNT if by is None else max(_place(by), low + 1)))

    def _weigh(self, low: int, high: int) -> None:
        # No job is done before the first of the times, and every job is done after the last.
        before = _shares_by(low) if low else _NONE
        by = _shares_by(high) if high < _COUNT else _ALL
        likely = [
            weight * (share - less) for weight, share, less in zip(self._weights, by, before, strict=True)
        ]
        kept = (1.0 - _CHANGE) / sum(likely)
        self._weights = [
            kept * weight + _CHANGE * anew for weight, anew in zip(likely, self._changed, strict=True)
        ]

    def shares_done(self) -> list[float]:
        """Return the share of jobs that are done at each of :data:`TIMES`."""
        while self._unread:
            self._weigh(*self._unread.popleft())
        curves, least = _curves(), _NEGLIGIBLE * max(self._weights)
        shares, total = [0.0] * _COUNT, 0.0
        for number, weight in enumerate(self._weights):
            if weight > least:
                total += weight
                spread, median = number // _COUNT, number % _COUNT
                curve = curves[spread][_COUNT - median : 2 * _COUNT - median]
                shares = [share + weight * more for share, more in zip(shares, curve, strict=True)]
        return [share / total for share in shares]


def _place(seconds: float) -> int:
    """Return the place of the time that is nearest; 0 for all below, and the count for all above."""
    if seconds <= _SHORTEST:
        return 0
    return min(_COUNT, round(math.log(seconds / _SHORTEST) / _STEP))


def _weights_around(expected: float, width: float) -> list[float]:
    """Return weights for medians around a time, equal for every spread."""
    middle = math.log(min(max(expected, TIMES[0]), TIMES[-1]))
    row = [math.exp(-0.5 * ((math.log(median) - middle) / width) ** 2) for median in TIMES]
    total = sum(row) * len(_SPREADS)
    return [weight / total for weight in row] * len(_SPREADS)
