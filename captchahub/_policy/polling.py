"""When the next poll is, and when the first. Pure: it learns from the jobs that are done.

Three rules meet here. A poll is never sooner than the service allows. Otherwise it is at the time that finds
the answer soonest for its price, by what earlier jobs of the provider and task kind took. And the last poll
before the deadline comes as late as its reply still fits in, because each second later finds more jobs done.
"""

from __future__ import annotations

import math

import attrs

from captchahub._policy.job_times import TIMES, JobTimes
from captchahub._policy.poll_schedule import PollSchedule, best_schedule
from captchahub.settings import PollAim

# What a poll may cost, as a share of the shortest interval: how much sooner an answer must be found for one
# more poll to be worth it.
_PRICES = {PollAim.LAG: 0.08, PollAim.CALLS: 1.0}

# A first poll comes up to this share of its delay later than another one, by chance, so that jobs that were
# created together are not polled together. More costs lag: with 5 %, an answer after one second is found 0.01
# seconds later.
_JITTER = 0.03

# The schedule is computed again after so many jobs, or an eighth of all while there are few, and not before
# so many seconds are over. It takes about a millisecond.
_MOST_JOBS_BETWEEN = 16
_SECONDS_BETWEEN = 1.0

# The most that the last poll leaves for its reply, in seconds.
_LONGEST_MARGIN = 1.0

# A reply may take three times as long as the slowest before it, and half a second at any service.
_SLOWER = 3.0
_SHORTEST_MARGIN = 0.5


@attrs.frozen
class Pace:
    """How a provider may be polled, and how the configuration wants it. Times are in seconds."""

    interval: float
    """The shortest time between two polls of a job."""
    min_first_delay: float | None = None
    """The shortest time before the first poll, or None if the service states none."""
    first: float | None = None
    """When the configuration wants the first poll, or None for a learned time."""
    has_fixed_gaps: bool = False
    """Whether the time between two polls is the interval, and not learned."""
    aim: PollAim = PollAim.LAG
    margin: float = attrs.field(
        init=False, default=attrs.Factory(lambda self: last_poll_margin(self.interval), takes_self=True)
    )
    """See :func:`last_poll_margin`."""

    @property
    def schedule(self) -> PollSchedule:
        """The schedule while nothing is known of the jobs."""
        usual = self.interval if self.min_first_delay is None else self.min_first_delay
        return PollSchedule(usual if self.first is None else self.first)


class LearnedPolling:
    """When the jobs of one kind are polled at one provider, by what earlier ones took.

    ``usual`` is what a job usually takes according to the plugin, in seconds, or None if it does not say.
    """

    def __init__(self, usual: float | None = None) -> None:
        self._usual = usual
        self._times = JobTimes(usual)
        self._knows_nothing = usual is None
        self._jobs = 0
        self._next_jobs = 0
        self._has_unsaved = False
        self._pace: Pace | None = None
        self._schedule = PollSchedule(0.0)
        self._next_from = 0.0

    def expect(self, usual: float) -> None:
        """Begin with what a job usually takes according to the service, unless jobs have shown that."""
        if not self._jobs and 0.0 < usual < math.inf:
            self._usual, self._times, self._knows_nothing, self._pace = usual, JobTimes(usual), False, None

    def restore(self, text: str) -> None:
        """Begin with what :meth:`take_unsaved` has returned, unless jobs were learned from since then.

        A text that is damaged or of another version is ignored.
        """
        if not self._jobs and (times := JobTimes.from_text(text, self._usual)) is not None:
            # One job, so that the first jobs of this process count at once.
            self._times, self._knows_nothing, self._pace, self._jobs = times, False, None, 1

    def take_unsaved(self) -> str | None:
        """Return what is known as a short text, or None if no job was learned from since the last call."""
        if not self._has_unsaved:
            return None
        self._has_unsaved = False
        return self._times.to_text()

    def learn(self, *, after: float, by: float | None) -> None:
        """Record a job whose answer was ready later than ``after`` and by ``by``, or None if unknown.

        Both are seconds since the job was created.
        """
        self._times.learn(after, by)
        self._jobs += 1
        self._knows_nothing, self._has_unsaved = False, True

    def schedule(self, pace: Pace, now: float) -> PollSchedule:
        """Return the schedule for a job that is polled now."""
        if self._knows_nothing:
            return pace.schedule
        if pace is not self._pace or (self._jobs >= self._next_jobs and now >= self._next_from):
            best = best_schedule(
                TIMES,
                self._times.shares_done(),
                interval=pace.interval,
                price=_PRICES[pace.aim] * pace.interval,
                earliest=pace.min_first_delay or 0.0,
                has_fixed_gaps=pace.has_fixed_gaps,
            )
            # The first poll is later by chance, and at the best time on average.
            first = max(pace.min_first_delay or 0.0, best.first / (1.0 + _JITTER / 2))
            self._schedule = attrs.evolve(best, first=first)
            self._pace, self._next_from = pace, now + _SECONDS_BETWEEN
            self._next_jobs = self._jobs + max(1, min(_MOST_JOBS_BETWEEN, self._jobs // 8))
        return self._schedule


def last_poll_margin(interval: float) -> float:
    """Return what the last poll before a deadline leaves for its reply, in seconds.

    It is also the least time that must be left for a create, because a job that can't be polled once is money
    for nothing.
    """
    return min(interval, _LONGEST_MARGIN)


def time_for_reply(most: float, slowest: float | None) -> float:
    """Return what the last poll leaves for its reply if the slowest reply so far took ``slowest`` seconds.

    ``slowest`` is None if the service has not replied yet. ``most`` is :func:`last_poll_margin`. A later poll
    finds more jobs done, but one that is too late is cut off with the answer on its way.
    """
    return most if slowest is None else min(most, max(_SHORTEST_MARGIN, slowest * _SLOWER))


def first_delay(
    pace: Pace, schedule: PollSchedule, *, left: float, margin: float | None = None, chance: float = 1.0
) -> float:
    """Return how long to wait after the create before the first poll, in seconds.

    ``left`` is the time until the deadline and ``margin`` what the last poll leaves for its reply.
    ``chance``, a random number from 0 to 1, moves a poll that is not fixed to a little later; 1 leaves it as
    it is.
    """
    margin = pace.margin if margin is None else margin
    wanted = schedule.first * (1.0 + _JITTER * (1.0 - chance)) if pace.first is None else pace.first
    # If there is hardly time for one poll, half of the time goes to the job.
    latest = max(left - margin, left / 2)
    delay = max(0.0, min(wanted, latest))
    if latest - delay < pace.interval:
        # No other poll fits in after this one, so it is the last.
        delay = max(delay, latest)
    return max(delay, pace.min_first_delay or 0.0)


def next_delay(
    pace: Pace,
    schedule: PollSchedule,
    *,
    age: float,
    left: float,
    requested_delay: float | None = None,
    margin: float | None = None,
) -> float:
    """Return how long to wait before the next poll, in seconds.

    ``age`` is the time since the job was created, ``left`` the time until the deadline, ``requested_delay``
    what the service's last reply asked for and ``margin`` what the last poll leaves for its reply.

    The delay is never shorter than the interval. If possible, it leaves time for one last poll, even if the
    service requested a longer delay: after the deadline the answer is of no use.
    """
    latest = left - (pace.margin if margin is None else margin)
    delay = max(pace.interval, min(max(schedule.gap(age), requested_delay or 0.0), latest))
    # If no other poll fits in after this one, it is the last, and comes as late as possible.
    return max(delay, latest) if latest - delay < pace.interval else delay
