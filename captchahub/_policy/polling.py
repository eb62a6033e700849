"""When the next poll is, and when the first. Pure: it learns from the jobs that are done.

Three rules meet here. A poll is never sooner than the service allows. The time between two polls grows with
the age of the job, because polling more often would find the answer hardly earlier. And the last poll before
the deadline comes as late as its reply still fits in, because each second later finds more jobs done.
"""

from __future__ import annotations

import attrs

# The number of jobs that are remembered: enough for a tenth percentile, few enough to follow a service that
# becomes faster.
_MAX_DURATIONS = 32

# The quantile of the durations at which the first poll is. The fastest job would be too soon for nearly all.
_FAST_JOBS = 0.1

# The next poll comes after a tenth of the job's age, so no answer is found more than a tenth too late.
_GROWTH = 0.1

# A job that the first poll finds done was done earlier, at an unknown time. Without a guess, the first poll
# could only ever move to later.
_DONE_BEFORE_FIRST_POLL = 0.8

# The most that the last poll leaves for its reply, in seconds.
_LONGEST_MARGIN = 1.0

# A reply may take three times as long as the slowest before it, and half a second at any service.
_SLOWER = 3.0
_SHORTEST_MARGIN = 0.5


@attrs.frozen
class JobDurations:
    """How long the latest jobs of one kind took at one provider, in seconds; a guess is rather too short."""

    seconds: tuple[float, ...] = ()

    def with_job(self, *, last_pending: float | None, done: float) -> JobDurations:
        """Return the durations with one more job, found done ``done`` seconds after it was created.

        ``last_pending`` is when a poll last found it pending, or None if the first poll found it done.
        """
        duration = done * _DONE_BEFORE_FIRST_POLL if last_pending is None else last_pending
        return JobDurations((*self.seconds, duration)[-_MAX_DURATIONS:])

    def first_delay(
        self, *, interval: float, left: float, min_delay: float | None = None, margin: float | None = None
    ) -> float:
        """Return how long to wait after the create before the first poll, in seconds.

        That is until the fastest jobs are done. ``interval``, ``left`` and ``margin`` are as for
        :func:`next_delay`. ``min_delay`` is the shortest delay before the first poll that the service allows,
        or None if it states none. In that case the first poll normally waits for ``interval`` too, but it may
        come sooner if little time is left.
        """
        margin = last_poll_margin(interval) if margin is None else margin
        shortest = interval if min_delay is None else min_delay
        fast = sorted(self.seconds)[int(len(self.seconds) * _FAST_JOBS)] if self.seconds else shortest
        # If there is hardly time for one poll, half of the time goes to the job.
        latest = max(left - margin, left / 2)
        delay = max(0.0, min(max(shortest, fast), latest))
        if latest - delay < interval:
            # No other poll fits in after this one, so it is the last.
            delay = max(delay, latest)
        return max(delay, min_delay or 0.0)


def last_poll_margin(interval: float) -> float:
    """Return what the last poll before a deadline leaves for its reply, in seconds.

    It is also the least time that must be left for a create, because a job that can't be polled once is money
    for nothing.
    """
    return min(interval, _LONGEST_MARGIN)


def time_for_reply(interval: float, slowest: float | None) -> float:
    """Return what the last poll leaves for its reply if the slowest reply so far took ``slowest`` seconds.

    ``slowest`` is None if the service has not replied yet. A later poll finds more jobs done, but one that is
    too late is cut off with the answer on its way.
    """
    most = last_poll_margin(interval)
    return most if slowest is None else min(most, max(_SHORTEST_MARGIN, slowest * _SLOWER))


def next_delay(
    *,
    age: float,
    interval: float,
    left: float,
    requested_delay: float | None = None,
    margin: float | None = None,
) -> float:
    """Return how long to wait before the next poll, in seconds.

    ``age`` is the time since the job was created, ``left`` the time until the deadline, ``interval`` the
    shortest time between two polls that the service allows, ``requested_delay`` what its last reply asked for
    and ``margin`` what the last poll leaves for its reply.

    The delay is never shorter than ``interval``. If possible, it leaves time for one last poll, even if the
    service requested a longer delay: after the deadline the answer is of no use.
    """
    latest = left - (last_poll_margin(interval) if margin is None else margin)
    delay = max(interval, min(max(age * _GROWTH, requested_delay or 0.0), latest))
    # If no other poll fits in after this one, it is the last, and comes as late as possible.
    return max(delay, latest) if latest - delay < interval else delay
