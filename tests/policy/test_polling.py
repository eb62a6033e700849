"""When a job is polled: early enough to lose no time, and no sooner than the service allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub._policy.polling import JobDurations, last_poll_margin, next_delay, time_for_reply

LONG = 1e6  # a deadline that is far off, in seconds

seconds = st.floats(0, 10_000)
intervals = st.floats(0.01, 60)


def learned(*jobs: float) -> JobDurations:
    """What is known after jobs that were found pending until a second before their end."""
    durations = JobDurations()
    for job in jobs:
        durations = durations.with_job(last_pending=job, done=job + 1)
    return durations


class TestNextDelay:
    def test_at_first_it_is_the_interval(self) -> None:
        assert next_delay(age=0, interval=2, left=LONG) == 2
        assert next_delay(age=20, interval=2, left=LONG) == 2

    def test_later_it_is_a_tenth_of_the_age_of_the_job(self) -> None:
        assert next_delay(age=60, interval=2, left=LONG) == pytest.approx(6)

    def test_a_delay_that_the_service_requests_lengthens_it(self) -> None:
        assert next_delay(age=5, interval=2, left=LONG, requested_delay=30) == 30

    def test_a_requested_delay_never_shortens_it(self) -> None:
        assert next_delay(age=5, interval=2, left=LONG, requested_delay=0.5) == 2
        assert next_delay(age=60, interval=2, left=LONG, requested_delay=3) == pytest.approx(6)

    def test_near_the_deadline_it_leaves_time_for_one_last_poll(self) -> None:
        assert next_delay(age=60, interval=2, left=5) == 4
        assert next_delay(age=5, interval=2, left=10, requested_delay=600) == 9

    def test_the_interval_is_kept_even_if_no_time_is_left(self) -> None:
        assert next_delay(age=60, interval=2, left=0.5) == 2
        assert next_delay(age=60, interval=2, left=-3) == 2

    @given(seconds, intervals, st.floats(-10, 10_000), st.none() | seconds)
    def test_it_is_never_shorter_than_the_interval(
        self, age: float, interval: float, left: float, requested_delay: float | None
    ) -> None:
        assert next_delay(age=age, interval=interval, left=left, requested_delay=requested_delay) >= interval

    @given(seconds, intervals, seconds, st.none() | seconds)
    def test_if_there_is_time_the_next_poll_is_before_the_deadline(
        self, age: float, interval: float, left: float, requested_delay: float | None
    ) -> None:
        pause = next_delay(age=age, interval=interval, left=left, requested_delay=requested_delay)
        assert pause < left or interval >= left - 1

    @given(intervals, st.floats(1, 3600))
    def test_a_job_is_found_done_within_a_tenth_of_its_age_or_the_interval(
        self, interval: float, done: float
    ) -> None:
        asked = interval
        while asked < done:
            asked += next_delay(age=asked, interval=interval, left=LONG)
        assert asked - done <= max(interval, done / 10) + 1e-6


class TestFirstDelay:
    def test_without_known_durations_it_is_the_interval(self) -> None:
        assert JobDurations().first_delay(interval=2, left=LONG) == 2

    def test_it_is_as_long_as_earlier_jobs_took(self) -> None:
        assert learned(12).first_delay(interval=2, left=LONG) == 12

    def test_it_is_the_time_of_the_fastest_tenth(self) -> None:
        assert learned(*range(10, 30)).first_delay(interval=2, left=LONG) == 12

    def test_of_few_jobs_the_fastest_counts(self) -> None:
        assert learned(9, 5, 30).first_delay(interval=2, left=LONG) == 5

    def test_it_is_not_shorter_than_the_interval_while_there_is_time(self) -> None:
        assert learned(0.5).first_delay(interval=2, left=LONG) == 2

    def test_it_leaves_time_for_one_poll_before_the_deadline(self) -> None:
        assert learned(30).first_delay(interval=2, left=10) == 9

    def test_the_only_poll_that_fits_comes_as_late_as_its_reply_allows(self) -> None:
        assert JobDurations().first_delay(interval=2, left=4) == 3
        assert JobDurations().first_delay(interval=2, left=4, margin=0.5) == 3.5
        assert JobDurations().first_delay(interval=2, left=4.5, margin=0.5) == 2

    def test_it_is_never_shorter_than_the_service_allows_for_the_first_poll(self) -> None:
        assert JobDurations().first_delay(interval=5, min_delay=5, left=LONG) == 5
        assert JobDurations().first_delay(interval=1, min_delay=5, left=LONG) == 5
        assert JobDurations().first_delay(interval=5, min_delay=1, left=LONG) == 1
        assert JobDurations().first_delay(interval=5, min_delay=5, left=3) == 5

    def test_it_is_shorter_than_the_interval_if_otherwise_there_were_no_poll(self) -> None:
        assert JobDurations().first_delay(interval=2, left=2.5) == 1.5
        assert JobDurations().first_delay(interval=2, left=0.3) == 0.15


def test_the_margin_of_the_last_poll_is_at_most_a_second() -> None:
    assert last_poll_margin(interval=2) == 1
    assert last_poll_margin(interval=0.1) == 0.1


def test_a_reply_may_take_three_times_as_long_as_the_slowest_before() -> None:
    assert time_for_reply(2, None) == 1
    assert [time_for_reply(2, slowest) for slowest in (0, 0.01, 0.25, 3)] == [0.5, 0.5, 0.75, 1]
    assert time_for_reply(0.02, 0) == 0.02


class TestJobDurations:
    def test_a_job_took_at_least_until_it_was_last_found_pending(self) -> None:
        assert JobDurations().with_job(last_pending=10, done=12).seconds == (10,)

    def test_a_job_that_the_first_poll_finds_done_counts_as_a_fifth_faster(self) -> None:
        assert JobDurations().with_job(last_pending=None, done=10).seconds == (8,)

    def test_the_first_poll_comes_earlier_until_a_job_is_found_pending(self) -> None:
        """So a service that has become faster is noticed, by a fifth with each job."""
        durations, pauses = learned(40), [40.0]
        while pauses[-1] > 5:
            pauses.append(durations.first_delay(interval=2, left=LONG))
            durations = durations.with_job(last_pending=None, done=pauses[-1])
        assert pauses == sorted(pauses, reverse=True)
        assert len(pauses) < 20

    def test_only_the_latest_jobs_count(self) -> None:
        durations = learned(*[1] * 100, *[50] * 32)
        assert durations.seconds == (50,) * 32

    def test_it_is_a_value_that_no_change_alters(self) -> None:
        before = learned(10)
        assert before.with_job(last_pending=5, done=6) != before
        assert before == learned(10)
