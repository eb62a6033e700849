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
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, repeat
from operator import add, mul, sub

from captchahub._policy.weights_text import from_text, to_text

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

# What a picture takes at most services, in seconds, and how far the median of a service may be from that, or
# from what it calls usual itself, as a spread. A price list can name ten times what jobs take at the moment,
# and first polls that all came that late would hardly show it.
_USUAL = 3.0
_ANY_SERVICE = 1.2

# Of more jobs than this that were not weighed yet, only the latest are. A hub that ends hundreds of jobs a
# second learns enough from some of them.
_MOST_UNREAD = 16

# Weights that are smaller than this share of the largest are left out of the shares.
_NEGLIGIBLE = 0.05

# Sooner than this many spreads before the first median that counts no job is done, and later than as many
# after the last all are. The strays are left out there.
_REACH = 3.0

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
        self._weights = _weights_around(_USUAL if usual is None else usual, _ANY_SERVICE)
        self._changed = [_CHANGE * weight for weight in self._weights]
        self._unread: deque[tuple[float, float | None]] = deque(maxlen=_MOST_UNREAD)

    def learn(self, after: float, by: float | None) -> None:
        """Record a job whose answer was ready later than ``after`` and by ``by``, or None if unknown."""
        self._unread.append((after, by))

    def to_text(self) -> str:
        """Return what is known as a text of a few hundred characters, for :meth:`from_text`."""
        self._weigh_unread()
        # The share that is spread anew before each job is always the same, and not saved.
        learned = [max(0.0, weight - anew) for weight, anew in zip(self._weights, self._changed, strict=True)]
        return to_text([*_by_spread(learned)])

    @classmethod
    def from_text(cls, text: str, usual: float | None = None) -> JobTimes | None:
        """Return what :meth:`to_text` has saved, or None for any other text, such as a newer version."""
        rows = from_text(text, rows=len(_SPREADS), length=_COUNT)
        if rows is None:
            return None
        times = cls(usual)
        times._weights = times._spread_anew([*chain.from_iterable(rows)])
        return times

    def _spread_anew(self, weights: Sequence[float]) -> list[float]:
        """Return weights with the sum 1, after a small share of them was spread over all explanations."""
        kept = (1.0 - _CHANGE) / sum(weights)
        return [kept * weight + anew for weight, anew in zip(weights, self._changed, strict=True)]

    def _weigh(self, after: float, by: float | None) -> None:
        low = _place(after)
        if low == _COUNT:
            return
        high = _COUNT if by is None else max(_place(by), low + 1)
        # No job is done before the first of the times, and every job is done after the last.
        shares = _shares_by(high) if high < _COUNT else _ALL
        seen = map(sub, shares, _shares_by(low)) if low else shares
        likely = [*map(mul, self._weights, seen)]
        self._weights = self._spread_anew(likely)

    def _weigh_unread(self) -> None:
        while self._unread:
            self._weigh(*self._unread.popleft())

    def shares_done(self) -> list[float]:
        """Return the share of jobs that are done at each of :data:`TIMES`."""
        self._weigh_unread()
        least = _NEGLIGIBLE * max(self._weights)
        counting: list[tuple[float, Sequence[float], int]] = []
        begin, end = _COUNT, 0
        for spread, curve, weights in zip(_SPREADS, _curves(), _by_spread(self._weights), strict=True):
            medians = [median for median, weight in enumerate(weights) if weight > least]
            if medians:
                reach = math.ceil(_REACH * spread / _STEP)
                begin, end = min(begin, medians[0] - reach), max(end, medians[-1] + 1 + reach)
                counting += [(weights[median], curve, _COUNT - median) for median in medians]
        begin, end = max(0, begin), min(_COUNT, end)
        shares = [0.0] * (end - begin)
        for weight, curve, middle in counting:
            shares = [*map(add, shares, map(mul, repeat(weight), curve[middle + begin : middle + end]))]
        total = sum([weight for weight, _, _ in counting])
        return [0.0] * begin + [share / total for share in shares] + [1.0] * (_COUNT - end)


def _by_spread(weights: Sequence[float]) -> Iterator[Sequence[float]]:
    """Yield for each spread the weights of its medians."""
    for begin in range(0, len(weights), _COUNT):
        yield weights[begin : begin + _COUNT]


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
