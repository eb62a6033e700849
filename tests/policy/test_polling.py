"""When a job is polled: early enough to lose no time, and no sooner than the service allows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captchahub._policy.job_times import TIMES, JobTimes
from captchahub._policy.poll_schedule import PollSchedule, best_schedule
from captchahub._policy.polling import (
    LearnedPolling,
    Pace,
    first_delay,
    last_poll_margin,
    next_delay,
    time_for_reply,
)
from captchahub.settings import PollAim

LONG = 1e6  # a deadline that is far off, in seconds
PACE = Pace(2.0)
NOTHING_KNOWN = PACE.schedule

seconds = st.floats(0, 10_000)
intervals = st.floats(0.01, 60)


def log_normal(median: float, sigma: float, seed: int) -> Callable[[], float]:
    """Service times that are the same in every run."""
    chance = random.Random(seed)
    return lambda: median * math.exp(sigma * chance.gauss(0, 1))


class Client:
    """Polls jobs one after the other. Polls take no time."""

    def __init__(self, pace: Pace = PACE, usual: float | None = None, seed: int = 0) -> None:
        self.polling = LearnedPolling(usual)
        self._pace = pace
        self._chance = random.Random(seed).random
        self._now = 0.0

    def poll(self, done: float) -> list[float]:
        """Return when a job is polled, in seconds after its create, that is done after so many."""
        schedule = self.polling.schedule(self._pace, self._now)
        polls = [first_delay(self._pace, schedule, left=LONG, chance=self._chance())]
        while polls[-1] < done:
            polls.append(polls[-1] + next_delay(self._pace, schedule, age=polls[-1], left=LONG))
        self._now += polls[-1]
        self.polling.learn(after=polls[-2] if len(polls) > 1 else 0.0, by=polls[-1])
        return polls

    def mean(self, times: Callable[[], float], jobs: int) -> tuple[float, float]:
        """Return the mean lag, in seconds, and the polls of a job."""
        lag, polls = 0.0, 0
        for _ in range(jobs):
            done = times()
            asked = self.poll(done)
            lag += asked[-1] - done
            polls += len(asked)
        return lag / jobs, polls / jobs


class TestNextDelay:
    def test_at_first_it_is_the_interval(self) -> None:
        assert next_delay(PACE, NOTHING_KNOWN, age=0, left=LONG) == 2
        assert next_delay(PACE, NOTHING_KNOWN, age=20, left=LONG) == 2

    def test_later_it_is_a_tenth_of_the_age_of_the_job(self) -> None:
        assert next_delay(PACE, NOTHING_KNOWN, age=60, left=LONG) == pytest.approx(6)

    def test_a_delay_that_the_service_requests_lengthens_it(self) -> None:
        assert next_delay(PACE, NOTHING_KNOWN, age=5, left=LONG, requested_delay=30) == 30

    def test_a_requested_delay_never_shortens_it(self) -> None:
        assert next_delay(PACE, NOTHING_KNOWN, age=5, left=LONG, requested_delay=0.5) == 2
        assert next_delay(PACE, NOTHING_KNOWN, age=60, left=LONG, requested_delay=3) == pytest.approx(6)

    def test_near_the_deadline_it_leaves_time_for_one_last_poll(self) -> None:
        assert next_delay(PACE, NOTHING_KNOWN, age=60, left=5) == 4
        assert next_delay(PACE, NOTHING_KNOWN, age=5, left=10, requested_delay=600) == 9

    def test_the_interval_is_kept_even_if_no_time_is_left(self) -> None:
        assert next_delay(PACE, NOTHING_KNOWN, age=60, left=0.5) == 2
        assert next_delay(PACE, NOTHING_KNOWN, age=60, left=-3) == 2

    @given(seconds, intervals, st.floats(-10, 10_000), st.none() | seconds)
    def test_it_is_never_shorter_than_the_interval(
        self, age: float, interval: float, left: float, requested_delay: float | None
    ) -> None:
        assert (
            next_delay(Pace(interval), NOTHING_KNOWN, age=age, left=left, requested_delay=requested_delay)
            >= interval
        )

    @given(seconds, intervals, seconds, st.none() | seconds)
    def test_if_there_is_time_the_next_poll_is_before_the_deadline(
        self, age: float, interval: float, left: float, requested_delay: float | None
    ) -> None:
        pause = next_delay(Pace(interval), NOTHING_KNOWN, age=age, left=left, requested_delay=requested_delay)
        assert pause < left or interval >= left - 1

    @given(intervals, st.floats(1, 3600))
    def test_a_job_is_found_done_within_a_tenth_of_its_age_or_the_interval(
        self, interval: float, done: float
    ) -> None:
        asked = interval
        while asked < done:
            asked += next_delay(Pace(interval), NOTHING_KNOWN, age=asked, left=LONG)
        assert asked - done <= max(interval, done / 10) + 1e-6


class TestFirstDelay:
    def test_it_is_that_of_the_schedule(self) -> None:
        assert first_delay(PACE, PollSchedule(12), left=LONG) == 12

    def test_while_nothing_is_known_it_is_the_interval(self) -> None:
        assert first_delay(PACE, NOTHING_KNOWN, left=LONG) == 2

    def test_it_is_up_to_three_per_cent_later_by_chance(self) -> None:
        assert first_delay(PACE, PollSchedule(12), left=LONG, chance=0.0) == pytest.approx(12.36)

    def test_one_that_is_configured_is_exact(self) -> None:
        assert first_delay(Pace(2, first=3), PollSchedule(12), left=LONG, chance=0.0) == 3

    def test_it_leaves_time_for_one_poll_before_the_deadline(self) -> None:
        assert first_delay(PACE, PollSchedule(30), left=10) == 9

    def test_the_only_poll_that_fits_comes_as_late_as_its_reply_allows(self) -> None:
        assert first_delay(PACE, NOTHING_KNOWN, left=4) == 3
        assert first_delay(PACE, NOTHING_KNOWN, left=4, margin=0.5) == 3.5
        assert first_delay(PACE, NOTHING_KNOWN, left=4.5, margin=0.5) == 2

    def test_it_is_never_shorter_than_the_service_allows_for_the_first_poll(self) -> None:
        for pace, left, delay in (
            (Pace(5, min_first_delay=5), LONG, 5),
            (Pace(1, min_first_delay=5), LONG, 5),
            (Pace(5, min_first_delay=1), LONG, 1),
            (Pace(5, min_first_delay=5), 3, 5),
        ):
            assert first_delay(pace, pace.schedule, left=left) == delay

    def test_it_is_shorter_than_the_interval_if_otherwise_there_were_no_poll(self) -> None:
        assert first_delay(PACE, NOTHING_KNOWN, left=2.5) == 1.5
        assert first_delay(PACE, NOTHING_KNOWN, left=0.3) == 0.15


def test_the_margin_of_the_last_poll_is_at_most_a_second() -> None:
    assert last_poll_margin(interval=2) == 1
    assert last_poll_margin(interval=0.1) == 0.1


def test_a_reply_may_take_three_times_as_long_as_the_slowest_before() -> None:
    assert time_for_reply(1, None) == 1
    assert [time_for_reply(1, slowest) for slowest in (0, 0.01, 0.25, 3)] == [0.5, 0.5, 0.75, 1]
    assert time_for_reply(0.02, 0) == 0.02


class TestLearnedPolling:
    @pytest.mark.parametrize(
        ("median", "sigma", "most_lag", "most_polls"),
        [(3, 0.5, 1.05, 1.9), (3, 0.1, 0.66, 1.2), (1, 0.1, 0.30, 1.15), (8, 0.5, 1.1, 4.2)],
    )
    def test_after_sixty_jobs_answers_are_found_soon_by_few_polls(
        self, median: float, sigma: float, most_lag: float, most_polls: float
    ) -> None:
        found: list[tuple[float, float]] = []
        for seed in range(3):
            client, times = Client(seed=seed), log_normal(median, sigma, seed)
            client.mean(times, 60)
            found.append(client.mean(times, 40))
        lag, polls = (sum(values) / len(values) for values in zip(*found, strict=True))
        assert lag <= most_lag * 1.08
        assert polls <= most_polls * 1.08

    def test_it_starts_from_what_the_service_says(self) -> None:
        client = Client()
        client.polling.expect(20.0)
        assert 4 < client.poll(5.0)[0] < 25

    def test_it_starts_from_what_the_plugin_says(self) -> None:
        assert 4 < Client(usual=20.0).poll(5.0)[0] < 25

    def test_a_usual_time_that_is_far_too_long_is_found_out_by_one_wave_of_jobs(self) -> None:
        client = Client(usual=15.0)
        first = client.poll(1.0)[0]
        assert first < 4
        for _ in range(15):
            client.polling.learn(after=0.0, by=first)
        client.mean(lambda: 1.0, 1)
        assert client.poll(1.0)[0] < 2.2

    def test_what_jobs_have_shown_goes_before_what_the_service_says(self) -> None:
        client = Client()
        client.mean(log_normal(3, 0.1, 0), 20)
        client.polling.expect(60.0)
        assert client.poll(3.0)[0] < 5

    @pytest.mark.parametrize("usual", [0.0, -1.0, math.inf, math.nan])
    def test_a_usual_time_that_makes_no_sense_is_ignored(self, usual: float) -> None:
        client = Client()
        client.polling.expect(usual)
        assert client.poll(1.0)[0] < 2.2

    def test_fewer_calls_cost_lag(self) -> None:
        times = log_normal(8, 0.5, 1), log_normal(8, 0.5, 1)
        soon = Client(PACE)
        seldom = Client(Pace(2.0, aim=PollAim.CALLS))
        for client, own in zip((soon, seldom), times, strict=True):
            client.mean(own, 30)
        (lag, polls), (more_lag, fewer_polls) = (
            client.mean(own, 40) for client, own in zip((soon, seldom), times, strict=True)
        )
        assert lag < more_lag
        assert fewer_polls < polls

    def test_the_time_between_polls_can_be_fixed(self) -> None:
        client = Client(Pace(2.0, has_fixed_gaps=True))
        client.mean(log_normal(6, 0.5, 2), 20)
        polls = client.poll(19.0)
        assert all(later - earlier == pytest.approx(2.0) for earlier, later in pairwise(polls))

    def test_jobs_that_are_given_up_make_it_later(self) -> None:
        client = Client()
        client.mean(log_normal(3, 0.1, 0), 10)
        before = client.poll(3.0)[0]
        for _ in range(20):
            client.polling.learn(after=30.0, by=None)
        client.polling.schedule(PACE, LONG)
        assert client.polling.schedule(PACE, LONG).first > 3 * before


class TestBestSchedule:
    def test_with_free_polls_it_begins_with_the_fastest(self) -> None:
        shares = JobTimes(3.0).shares_done()
        cheap, dear = (
            best_schedule(TIMES, shares, interval=2, price=price, earliest=0) for price in (0.0, 5.0)
        )
        assert cheap.first < dear.first

    def test_no_poll_is_made_where_no_job_is_done(self) -> None:
        """Half of the jobs take about a second, and the others about twenty."""
        shares = [0.0 if time < 0.9 else 0.5 if time < 18 else 1.0 for time in TIMES]
        schedule = best_schedule(TIMES, shares, interval=1, price=0.1, earliest=0)
        assert 0.8 < schedule.first < 1.2
        assert 16 < schedule.first + schedule.gap(schedule.first) < 20

    @settings(max_examples=20)
    @given(st.floats(0.05, 600), st.floats(0.01, 30), st.floats(0, 100))
    def test_it_keeps_to_the_earliest_time_and_the_interval(
        self, usual: float, interval: float, earliest: float
    ) -> None:
        shares = JobTimes(usual).shares_done()
        schedule = best_schedule(TIMES, shares, interval=interval, price=interval / 10, earliest=earliest)
        assert schedule.first >= earliest
        assert all(gap >= interval for gap in schedule.gaps)


class TestJobTimes:
    def test_the_time_of_the_finding_poll_does_not_pull_the_estimate_up(self) -> None:
        """All that is seen of 40 jobs is that they were done by a poll that came much later."""
        times = JobTimes(2.0)
        median = next(time for time, share in zip(TIMES, times.shares_done(), strict=True) if share > 0.5)
        for _ in range(40):
            times.learn(0.0, 10.0)
        after = next(time for time, share in zip(TIMES, times.shares_done(), strict=True) if share > 0.5)
        assert after <= median

    @settings(max_examples=20)
    @given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5) | st.none()), max_size=40))
    def test_the_shares_grow_from_zero_to_one_whatever_is_seen(
        self, seen: list[tuple[float, float | None]]
    ) -> None:
        times = JobTimes()
        for after, further in seen:
            times.learn(after, None if further is None else after + further)
        shares = times.shares_done()
        assert all(0 <= earlier <= later <= 1 + 1e-9 for earlier, later in pairwise(shares))


class TestSavedJobTimes:
    @pytest.mark.parametrize(
        ("median", "sigma", "jobs"), [(3, 0.5, 1), (3, 0.1, 60), (1, 0.1, 10), (20, 0.8, 3)]
    )
    def test_a_new_process_polls_at_the_same_times(self, median: float, sigma: float, jobs: int) -> None:
        client = Client()
        client.mean(log_normal(median, sigma, 1), jobs)
        text = client.polling.take_unsaved()
        assert text is not None
        assert len(text) < 700
        restored = LearnedPolling()
        restored.restore(text)
        # With another pace the schedule is computed again.
        before, after = (one.schedule(Pace(2.0), LONG) for one in (client.polling, restored))
        assert after.first == pytest.approx(before.first, rel=0.02)
        ages = [median * factor for factor in (0.5, 1, 2)]
        assert [after.gap(age) for age in ages] == pytest.approx([before.gap(age) for age in ages], rel=0.1)

    def test_processes_that_end_after_one_job_learn_together(self) -> None:
        times, polls, text = log_normal(3, 0.1, 0), list[float](), None
        for number in range(60):
            client = Client(seed=number)
            if text is not None:
                client.polling.restore(text)
            polls += client.poll(times())[:1]
            text = client.polling.take_unsaved()
        assert all(3 < first < 4 for first in polls[20:])

    def test_it_is_saved_only_if_a_job_was_learned_from(self) -> None:
        polling = LearnedPolling(3.0)
        assert polling.take_unsaved() is None
        polling.learn(after=0.0, by=2.0)
        text = polling.take_unsaved()
        assert text is not None
        assert polling.take_unsaved() is None
        other = LearnedPolling()
        other.restore(text)
        assert other.take_unsaved() is None

    def test_what_jobs_have_shown_here_goes_before_what_was_saved(self) -> None:
        slow, fast = Client(), Client()
        slow.mean(log_normal(30, 0.1, 0), 20)
        fast.mean(log_normal(3, 0.1, 0), 20)
        fast.polling.restore(slow.polling.take_unsaved() or "")
        assert fast.poll(3.0)[0] < 5

    def test_what_was_saved_goes_before_what_the_service_says(self) -> None:
        slow, new = Client(), Client()
        slow.mean(log_normal(30, 0.1, 0), 20)
        new.polling.restore(slow.polling.take_unsaved() or "")
        new.polling.expect(3.0)
        assert new.poll(30.0)[0] > 20

    def test_a_text_of_this_version_is_read_by_later_releases(self) -> None:
        text = '{"version":1,"rows":[[160,""],[66,"4zZzU3"],[67,"cp"],[160,""],[160,""]]}'
        polling = LearnedPolling()
        polling.restore(text)
        assert polling.schedule(PACE, 0.0).first == pytest.approx(3.51, rel=0.02)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "null",
            "[]",
            "{}",
            "[" * 100_000,
            '{"version":2,"rows":[[0,"Z"],[0,""],[0,""],[0,""],[0,""]]}',
            '{"version":1,"rows":5}',
            '{"version":1,"rows":[[0,"Z"]]}',
            '{"version":1,"rows":[[0,"Z"],[0,""],[0,""],[0,""],[0]]}',
            '{"version":1,"rows":[["0","Z"],[0,""],[0,""],[0,""],[0,""]]}',
            '{"version":1,"rows":[[0,"Z"],[0,7],[0,""],[0,""],[0,""]]}',
            '{"version":1,"rows":[[0,"é"],[0,""],[0,""],[0,""],[0,""]]}',
            '{"version":1,"rows":[[160,"Z"],[0,""],[0,""],[0,""],[0,""]]}',
            '{"version":1,"rows":[[-1,"Z"],[0,""],[0,""],[0,""],[0,""]]}',
            '{"version":1,"rows":[[0,"00"],[0,""],[0,""],[0,""],[0,""]]}',
        ],
    )
    def test_any_other_text_is_ignored(self, text: str) -> None:
        assert JobTimes.from_text(text) is None
        polling = LearnedPolling()
        polling.restore(text)
        assert polling.schedule(PACE, 0.0) == NOTHING_KNOWN

    @settings(max_examples=30)
    @given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5) | st.none()), min_size=1, max_size=40))
    def test_whatever_was_learned_can_be_read_again(self, seen: list[tuple[float, float | None]]) -> None:
        times = JobTimes()
        for after, further in seen:
            times.learn(after, None if further is None else after + further)
        restored = JobTimes.from_text(times.to_text())
        assert restored is not None
        assert restored.shares_done() == pytest.approx(times.shares_done(), abs=0.05)
