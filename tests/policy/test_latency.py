"""How fast a provider is, from its latest attempts."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from captchahub._policy.latency import LatencyStats

ENOUGH, KEPT, FRESH = 20, 128, 600

durations = st.integers(0, 1000).map(float)


def learned(*answers: float, now: float = 1000.0) -> LatencyStats:
    """What is known after answers that took these seconds, and all came now."""
    speed = LatencyStats()
    for seconds in answers:
        speed.learn(now, seconds, has_answer=True)
    return speed


class TestSecondsPerAnswer:
    def test_it_is_unknown_before_the_first_attempt(self) -> None:
        assert LatencyStats().seconds_per_answer(1000) is None

    def test_it_is_the_mean_of_the_answers(self) -> None:
        assert learned(2, 4, 9).seconds_per_answer(1000) == 5

    def test_the_first_answer_counts(self) -> None:
        assert learned(7).seconds_per_answer(1000) == 7

    def test_the_time_of_attempts_without_an_answer_counts_too(self) -> None:
        speed = learned(2, 4)
        speed.learn(1000, 30, has_answer=False)
        assert speed.seconds_per_answer(1000) == 18

    def test_it_is_infinite_without_any_answer(self) -> None:
        speed = LatencyStats()
        speed.learn(1000, 5, has_answer=False)
        assert speed.seconds_per_answer(1000) == math.inf

    def test_after_ten_minutes_a_slow_provider_is_unknown_again(self) -> None:
        speed = learned(60, now=1000)
        assert speed.seconds_per_answer(1000 + FRESH - 1) == 60
        assert speed.seconds_per_answer(1000 + FRESH) is None

    def test_only_recent_attempts_count(self) -> None:
        speed = learned(60, now=1000)
        speed.learn(1500, 2, has_answer=True)
        assert speed.seconds_per_answer(1599) == 31
        assert speed.seconds_per_answer(1600) == 2

    def test_only_the_latest_attempts_count(self) -> None:
        assert learned(*[500] * 1000, *[3] * KEPT).seconds_per_answer(1000) == 3

    @given(st.lists(st.tuples(durations, st.booleans()), min_size=1, max_size=KEPT))
    def test_it_is_the_time_of_all_attempts_divided_by_the_answers(
        self, attempts: list[tuple[float, bool]]
    ) -> None:
        speed = LatencyStats()
        for seconds, has_answer in attempts:
            speed.learn(1000, seconds, has_answer=has_answer)
        answers = sum(has_answer for _, has_answer in attempts)
        spent = sum(seconds for seconds, _ in attempts)
        assert speed.seconds_per_answer(1000) == (spent / answers if answers else math.inf)


class TestTypicalTime:
    def test_it_is_twice_the_median(self) -> None:
        assert learned(*[4.0] * 15, *[100.0] * 14).typical_time() == 8

    def test_it_is_twenty_seconds_if_the_median_is_unknown(self) -> None:
        assert LatencyStats().typical_time() == 20
        assert learned(*[1.0] * (ENOUGH - 1)).typical_time() == 20

    def test_it_can_be_next_to_nothing(self) -> None:
        assert learned(*[0.0] * ENOUGH).typical_time() == 0


class TestPercentile:
    def test_it_is_unknown_for_fewer_than_twenty_answers(self) -> None:
        assert learned(*[1.0] * (ENOUGH - 1)).percentile(50) is None
        assert learned(*[1.0] * ENOUGH).percentile(50) == 1

    def test_attempts_without_an_answer_do_not_count(self) -> None:
        speed = learned(*[1.0] * (ENOUGH - 1))
        for _ in range(50):
            speed.learn(1000, 90, has_answer=False)
        assert speed.percentile(50) is None
        speed.learn(1000, 1, has_answer=True)
        assert speed.percentile(100) == 1

    def test_that_many_of_a_hundred_answers_did_not_take_longer(self) -> None:
        speed = learned(*range(100, 0, -1))
        assert [speed.percentile(rank) for rank in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]

    def test_of_twenty_answers_the_last_but_one_is_the_95th(self) -> None:
        assert learned(*range(1, 21)).percentile(95) == 19

    def test_old_answers_count_until_newer_ones_replace_them(self) -> None:
        """Otherwise a provider that is seldom called would always be unknown."""
        assert learned(*range(1, 101), now=-1e6).percentile(95) == 95

    @given(st.lists(durations, min_size=ENOUGH, max_size=KEPT), st.integers(1, 100))
    def test_it_is_the_least_time_of_that_rank(self, answers: list[float], rank: int) -> None:
        found = learned(*answers).percentile(rank)
        assert found in answers
        assert sum(one <= found for one in answers) * 100 >= rank * len(answers)
        assert sum(one < found for one in answers) * 100 < rank * len(answers)
