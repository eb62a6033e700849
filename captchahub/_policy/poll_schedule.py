"""The best times to poll a job whose time is known as a distribution. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

import attrs

# The schedule covers the times between these shares of the jobs. The few faster and slower ones hardly change
# its cost.
_FASTEST = 0.004
_SLOWEST = 0.99

# After that, the next poll comes after a tenth of the job's age, so no answer is found more than a tenth too
# late.
_GROWTH = 0.1


@attrs.frozen
class PollSchedule:
    """When to poll a job: ``first`` is the age of the job at the first poll, in seconds.

    From each of the ``ages`` on, the next poll comes after the gap of the same place in ``gaps``.
    """

    first: float
    ages: Sequence[float] = ()
    gaps: Sequence[float] = ()

    def gap(self, age: float) -> float:
        """Return the time from a poll at an age of the job to the next one."""
        if not self.ages or age >= self.ages[-1]:
            return age * _GROWTH
        return self.gaps[max(0, bisect_right(self.ages, age) - 1)]


def best_schedule(
    times: Sequence[float],
    shares: Sequence[float],
    *,
    interval: float,
    price: float,
    earliest: float,
    has_fixed_gaps: bool = False,
) -> PollSchedule:
    """Return the schedule with the least cost: the expected lag and ``price`` for each poll, in seconds.

    The lag is the time from the answer to the poll that finds it. ``shares`` are those of the jobs that are
    done at each of the ``times``, which grow by the same factor. No gap is shorter than ``interval``; with
    ``has_fixed_gaps`` each is ``interval``. No first poll is before ``earliest``.

    Dynamic programming from the end: the cost of all that follows a pending poll, for each time of that poll.
    """
    begin = max(0, bisect_right(shares, _FASTEST) - 1)
    end = max(begin + 2, bisect_right(shares, _SLOWEST) + 1)
    at, done = times[begin:end], shares[begin:end]
    last = len(at) - 1
    if earliest >= at[last]:
        return PollSchedule(earliest)
    # The sum of the times of the jobs that are done at each time, from which lags follow.
    parts = [
        (share - less) * (time + before) / 2
        for share, less, time, before in zip(done[1:], done, at[1:], at, strict=False)
    ]
    sums = [0.0, *accumulate(parts)]
    # A job that is still pending at the end costs about one more poll and half a gap.
    after_last = (1.0 - done[last]) * (price + interval / 2)
    # The cost of all that follows a pending poll, less the times of the jobs done by then.
    levels, gaps = [after_last - sums[last]] * (last + 1), [interval] * (last + 1)
    follower = last + 1
    for place in range(last - 1, -1, -1):
        time, share, total = at[place], done[place], sums[place]
        soonest = time + interval
        while at[follower - 1] > soonest:
            follower -= 1
        if follower > last:
            best = soonest * (done[last] - share) + levels[last] + total
        else:
            # The soonest poll is between two of the times.
            part = (soonest - at[follower - 1]) / (at[follower] - at[follower - 1])
            found = done[follower - 1] + part * (done[follower] - done[follower - 1])
            level = levels[follower - 1] + part * (levels[follower] - levels[follower - 1])
            best = soonest * (found - share) + level + total
            for later in () if has_fixed_gaps else range(follower, last + 1):
                cost = at[later] * (done[later] - share) + levels[later] + total
                if cost < best:
                    best = cost
                    gaps[place] = at[later] - time
        levels[place] = best + price * (1.0 - share) - total
    begin = bisect_left(at, earliest)
    firsts = [
        time * share + level
        for time, share, level in zip(at[begin:], done[begin:], levels[begin:], strict=True)
    ]
    return PollSchedule(max(earliest, _lowest(at[begin:], firsts)), at, gaps)


def _lowest(times: Sequence[float], costs: Sequence[float]) -> float:
    """Return the time of the least cost, between the times if a parabola through the costs has it there."""
    place = costs.index(min(costs))
    if not 0 < place < len(costs) - 1:
        return times[place]
    before, least, after = costs[place - 1 : place + 2]
    bend = before - 2 * least + after
    if bend <= 0.0:
        return times[place]
    factor = times[place + 1] / times[place]
    return times[place] * math.pow(factor, (before - after) / (2 * bend))
