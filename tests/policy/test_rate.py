"""When a rate limit allows the next job: never too soon, and never later than necessary."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from captchahub._policy.rate import SlidingWindow
from captchahub.settings import Rate

# Times are whole numbers of seconds, for which sums are exact.
rates = st.builds(Rate, jobs=st.integers(1, 5), seconds=st.integers(1, 20).map(float))
pauses = st.lists(st.integers(0, 12).map(float), max_size=60)


def orders(rate: Rate, pauses: Sequence[float]) -> list[tuple[float, float]]:
    """When each job was wanted, and when it was allowed, for a caller that pauses between them."""
    window, now, every = SlidingWindow(rate), 1000.0, list[tuple[float, float]]()
    for pause in pauses:
        wanted = now + pause
        now = window.opens_at(wanted)
        window.take(now)
        every.append((wanted, now))
    return every


class TestSlidingWindow:
    def test_the_jobs_of_the_rate_are_allowed_at_once(self) -> None:
        window = SlidingWindow(Rate(3, 10.0))
        for _ in range(3):
            assert window.opens_at(100.0) == 100.0
            window.take(100.0)
        assert window.opens_at(100.0) == 110.0

    def test_each_job_makes_room_for_another_after_its_time(self) -> None:
        window = SlidingWindow(Rate(2, 10.0))
        window.take(100.0)
        window.take(104.0)
        assert window.opens_at(105.0) == 110.0
        window.take(110.0)
        assert window.opens_at(111.0) == 114.0

    def test_it_opens_exactly_then(self) -> None:
        window = SlidingWindow(Rate(1, 10.0))
        window.take(100.0)
        assert window.opens_at(109.0) == 110.0
        assert window.opens_at(110.0) == 110.0

    def test_unused_jobs_are_not_saved_up(self) -> None:
        window = SlidingWindow(Rate(1, 10.0))
        window.take(100.0)
        window.take(window.opens_at(500.0))
        assert window.opens_at(500.0) == 510.0

    def test_opens_at_counts_nothing(self) -> None:
        window = SlidingWindow(Rate(1, 10.0))
        assert [window.opens_at(100.0) for _ in range(5)] == [100.0] * 5

    def test_a_job_that_is_given_back_makes_room(self) -> None:
        window = SlidingWindow(Rate(2, 10.0))
        window.take(100.0)
        window.take(104.0)
        window.give_back(104.0)
        assert window.opens_at(105.0) == 105.0
        window.take(105.0)
        assert window.opens_at(106.0) == 110.0

    def test_a_job_whose_place_was_given_to_another_makes_none(self) -> None:
        window = SlidingWindow(Rate(1, 10.0))
        window.take(100.0)
        window.take(110.0)
        window.give_back(100.0)
        assert window.opens_at(111.0) == 120.0

    @given(rates, st.lists(st.tuples(st.integers(0, 12).map(float), st.booleans()), max_size=60))
    def test_no_window_has_more_jobs_than_allowed_if_some_are_given_back(
        self, rate: Rate, steps: list[tuple[float, bool]]
    ) -> None:
        window, now, kept = SlidingWindow(rate), 1000.0, list[float]()
        unsure: float | None = None
        for pause, is_kept in steps:
            now = window.opens_at(now + pause)
            window.take(now)
            if unsure is not None:
                window.give_back(unsure)
            unsure = None if is_kept else now
            kept += [now] if is_kept else []
        for end in kept:
            assert sum(end - rate.seconds < at <= end for at in kept) <= rate.jobs

    @given(rates, pauses)
    def test_no_window_ever_has_more_jobs_than_allowed(self, rate: Rate, pauses: list[float]) -> None:
        times = [at for _, at in orders(rate, pauses)]
        for end in times:
            assert sum(end - rate.seconds < at <= end for at in times) <= rate.jobs

    @given(rates, pauses)
    def test_no_job_waits_longer_than_the_rate_requires(self, rate: Rate, pauses: list[float]) -> None:
        """A moment before, the window ending there was full."""
        every = orders(rate, pauses)
        for wanted, opened in every:
            if opened > wanted:
                before = opened - 1
                assert sum(before - rate.seconds < at <= before for _, at in every) == rate.jobs

    @given(rates, pauses)
    def test_no_job_is_allowed_before_it_is_wanted_or_before_the_last(
        self, rate: Rate, pauses: list[float]
    ) -> None:
        every = orders(rate, pauses)
        times = [at for _, at in every]
        assert times == sorted(times)
        assert all(at >= wanted for wanted, at in every)
