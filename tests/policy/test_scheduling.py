"""When the next provider is called, for how long, and after which pause."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import JobFailed, RateLimited, ServiceUnavailable
from captchahub._policy.latency import LatencyStats
from captchahub._policy.scheduling import HedgeBudget, backoff, first_open, hedge_delay, time_for
from captchahub.settings import Percentile, RouteSettings

MOST_SAVED = 10

shares = st.integers(0, 1000).map(lambda thousandths: Fraction(thousandths, 1000))


def hedges_of(share: float, solves: int) -> int:
    """How many hedges there are if every solve wants one."""
    budget = HedgeBudget(share)
    taken = 0
    for _ in range(solves):
        budget.count_solve()
        taken += budget.take()
    return taken


def after_quiet(share: float, solves: int) -> int:
    """How many hedges there can be at once after a number of solves that wanted none."""
    budget = HedgeBudget(share)
    for _ in range(solves):
        budget.count_solve()
    return sum(budget.take() for _ in range(solves))


class TestHedgeBudget:
    def test_a_share_of_zero_allows_none(self) -> None:
        assert hedges_of(0.0, 1000) == 0

    def test_a_share_of_one_is_a_hedge_for_each_solve(self) -> None:
        assert hedges_of(1.0, 1000) == 1000

    def test_there_is_none_before_the_first_solve(self) -> None:
        assert not HedgeBudget(1.0).take()

    def test_a_twentieth_is_one_for_twenty_solves(self) -> None:
        assert [hedges_of(0.05, solves) for solves in (19, 20, 39, 40, 2000)] == [0, 1, 1, 2, 100]

    def test_a_share_without_an_exact_binary_value_is_kept_exactly(self) -> None:
        assert hedges_of(0.1, 10_000) == 1000
        assert hedges_of(1 / 3, 9999) == 3333

    def test_nearly_one_is_not_one(self) -> None:
        assert [hedges_of(0.999, solves) for solves in (1, 2, 1000)] == [0, 1, 999]

    def test_hedges_that_were_not_used_are_saved_up(self) -> None:
        assert after_quiet(0.05, 40) == 2
        assert after_quiet(0.05, 200) == MOST_SAVED

    def test_but_no_more_than_ten(self) -> None:
        assert after_quiet(0.05, 10_000) == MOST_SAVED
        assert after_quiet(1.0, 10_000) == MOST_SAVED

    def test_a_refused_hedge_is_not_counted(self) -> None:
        budget = HedgeBudget(0.5)
        budget.count_solve()
        assert not any(budget.take() for _ in range(10))
        budget.count_solve()
        assert budget.take()

    @given(shares, st.lists(st.integers(0, 3), max_size=200))
    def test_there_are_never_more_than_the_share_of_the_solves_until_then(
        self, share: Fraction, wanted: list[int]
    ) -> None:
        """At every moment, whenever a solve wants one."""
        budget = HedgeBudget(float(share))
        taken = 0
        for solves, hedges in enumerate(wanted, start=1):
            budget.count_solve()
            taken += sum(budget.take() for _ in range(hedges))
            assert taken <= share * solves

    @given(shares, st.integers(0, 500))
    def test_none_is_lost_if_every_solve_wants_one(self, share: Fraction, solves: int) -> None:
        assert hedges_of(float(share), solves) == share * solves // 1

    @given(shares, st.integers(0, 300), st.lists(st.integers(0, 3), max_size=100))
    def test_a_busy_time_spends_no_more_than_its_own_share_and_ten(
        self, share: Fraction, quiet: int, wanted: list[int]
    ) -> None:
        budget = HedgeBudget(float(share))
        for _ in range(quiet):
            budget.count_solve()
        taken = 0
        for hedges in wanted:
            budget.count_solve()
            taken += sum(budget.take() for _ in range(hedges))
        assert taken <= share * len(wanted) + MOST_SAVED


def learned(*answers: float) -> LatencyStats:
    speed = LatencyStats()
    for seconds in answers:
        speed.learn(1000.0, seconds, has_answer=True)
    return speed


class TestHedgeDelay:
    def test_a_route_without_hedge_after_has_none(self) -> None:
        assert hedge_delay(RouteSettings([]), learned(*range(1, 101))) is None

    def test_a_time_is_used_as_it_is(self) -> None:
        route = RouteSettings([], hedge_after=15.0)
        assert hedge_delay(route, LatencyStats()) == hedge_delay(route, learned(*range(1, 101))) == 15

    def test_zero_is_at_once(self) -> None:
        assert hedge_delay(RouteSettings([], hedge_after=0.0), LatencyStats()) == 0

    def test_a_percentile_is_just_after_that_of_the_first_provider(self) -> None:
        """By a twentieth, for answers come in at the pace of the questions, and many come just then."""
        route = RouteSettings([], hedge_after=Percentile(95))
        assert hedge_delay(route, learned(*range(1, 101))) == pytest.approx(95 * 1.05)

    def test_there_is_none_while_too_few_answers_are_known(self) -> None:
        route = RouteSettings([], hedge_after=Percentile(95))
        assert hedge_delay(route, learned(1, 2, 3)) is None


class TestFirstOpen:
    def test_it_is_the_first_that_may_be_called_now(self) -> None:
        assert first_open([1005.0, 1000.0, -math.inf], now=1000.0) == 1

    @pytest.mark.parametrize("opens", [[], [None, None], [1005.0, None, math.inf]])
    def test_there_may_be_none(self, opens: list[float | None]) -> None:
        assert first_open(opens, now=1000.0) is None


class TestTimeFor:
    """The share of the remaining time that one provider may use."""

    def test_a_timeout_of_its_own_is_kept(self) -> None:
        assert time_for(120.0, 60.0, others=3, typical=1.0) == 60

    def test_but_never_beyond_what_is_left(self) -> None:
        assert time_for(40.0, 60.0, others=3, typical=90.0) == 40

    def test_a_timeout_of_zero_is_one(self) -> None:
        assert time_for(120.0, 0.0, others=0, typical=30.0) == 0

    def test_without_a_timeout_an_equal_share_is_kept_for_the_others(self) -> None:
        assert time_for(120.0, None, others=2, typical=10.0) == 40

    def test_the_last_one_has_all_of_it(self) -> None:
        assert time_for(120.0, None, others=0, typical=10.0) == 120

    def test_if_a_job_typically_needs_more_than_that_it_has_what_it_needs(self) -> None:
        assert time_for(120.0, None, others=5, typical=30.0) == 30

    def test_but_no_more_than_half_of_what_is_left(self) -> None:
        assert time_for(40.0, None, others=5, typical=30.0) == 20

    @given(st.floats(0, 1e6), st.none() | st.floats(0, 1e6), st.integers(0, 20), st.floats(0, 1e6))
    def test_it_is_never_more_than_is_left_and_half_of_it_is_kept_for_the_others(
        self, left: float, limit: float | None, others: int, typical: float
    ) -> None:
        time = time_for(left, limit, others=others, typical=typical)
        assert 0 <= time <= left
        if limit is None and others:
            assert time <= left / 2


class TestBackoff:
    def test_it_doubles_up_to_ten_seconds(self) -> None:
        assert [backoff(tries) for tries in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]

    def test_chance_takes_away_up_to_a_half(self) -> None:
        assert backoff(3, chance=0.0) == 1
        assert backoff(3, chance=0.5) == 1.5
        assert backoff(3, chance=1.0) == 2

    @pytest.mark.parametrize("kind", [RateLimited, ServiceUnavailable])
    def test_a_requested_pause_lengthens_it(self, kind: type[RateLimited | ServiceUnavailable]) -> None:
        assert backoff(1, kind("later", retry_after=30), chance=0.0) == 30

    @pytest.mark.parametrize("asked_for", [None, 0.0, 0.1])
    def test_a_requested_pause_never_shortens_it(self, asked_for: float | None) -> None:
        assert backoff(4, RateLimited("later", retry_after=asked_for)) == 4

    def test_other_errors_request_nothing(self) -> None:
        assert backoff(1, JobFailed("no answer")) == backoff(1, None) == backoff(1)

    @given(st.integers(1, 10**6), st.floats(0, 1), st.none() | st.floats(0, 86_400))
    def test_there_is_always_a_pause(self, tries: int, chance: float, asked_for: float | None) -> None:
        pause = backoff(tries, RateLimited("later", retry_after=asked_for), chance=chance)
        assert 0.25 <= pause <= max(10.0, asked_for or 0.0)
        assert pause >= (asked_for or 0.0)
