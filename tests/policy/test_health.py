"""When a provider is left alone, for how long, and what proves that it works again."""

from __future__ import annotations

import math
from itertools import takewhile
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from captchahub import (
    ProviderState,
    TaskError,
    TaskRefused,
)
from captchahub._policy.error_table import FAILURES, HealthEffect, row_for
from captchahub._policy.health import Health, HealthPermit
from captchahub.settings import HealthSettings

never = math.inf


class Told:
    """A provider's health through a story: each call is what happens next, and time is in seconds."""

    def __init__(self, **rules: Any) -> None:
        self.health = Health(HealthSettings(**rules))
        self.now = 1000.0

    def state(self) -> ProviderState:
        return self.health.state_at(self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, *, is_early: bool = False) -> HealthPermit | None:
        """Whether one more attempt may be made; ``is_early`` by a solve that has nobody else to ask."""
        self.health, given = self.health.admit(self.now, is_early=is_early)
        return given

    def admitted(self) -> HealthPermit:
        given = self.ask()
        assert given is not None
        return given

    def probe(self) -> HealthPermit:
        given = self.admitted()
        assert given.is_probe
        return given

    def end(
        self,
        given: HealthPermit,
        effect: HealthEffect,
        *,
        reason: str = "it broke",
        after: float | None = None,
    ) -> None:
        self.health = self.health.after(given, effect, self.now, reason=reason, retry_after=after)

    def created(self, given: HealthPermit) -> None:
        self.health = self.health.created(given, self.now)

    def revive(self) -> None:
        self.health = self.health.revived(self.now)

    def run(self, *effects: HealthEffect) -> None:
        """One attempt after the other, each ending so."""
        for effect in effects:
            self.end(self.admitted(), effect)

    def fail(self, times: int) -> None:
        self.run(*[HealthEffect.FAILED] * times)

    def work(self, times: int) -> None:
        self.run(*[HealthEffect.WORKED] * times)


def cooling(**rules: Any) -> Told:
    """A provider that has just failed too often."""
    told = Told(failures=1, **rules)
    told.fail(1)
    assert told.state() is ProviderState.COOLING
    return told


def out(**rules: Any) -> Told:
    """A provider that has just refused the account."""
    told = Told(**rules)
    told.end(told.admitted(), HealthEffect.REFUSED, reason="the token is wrong")
    assert told.state() is ProviderState.OUT
    return told


class TestHealthy:
    def test_every_provider_begins_so(self) -> None:
        health = Told().health
        assert health.state is ProviderState.HEALTHY
        assert (health.reason, health.since, health.until) == (None, None, None)

    def test_it_may_be_asked_at_any_time_by_anybody(self) -> None:
        told = Told()
        assert told.health.opens_at == -math.inf
        assert not any(told.admitted().is_probe for _ in range(100))

    def test_nothing_that_happens_changes_what_was_known_before(self) -> None:
        """A health is a value: who holds an old one has the old one."""
        told = Told(failures=1)
        before = told.health
        told.fail(1)
        assert before.state is ProviderState.HEALTHY


class TestFailuresInARow:
    def test_it_cools_at_the_last_of_them(self) -> None:
        told = Told(failures=3)
        told.fail(2)
        assert told.state() is ProviderState.HEALTHY
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_one_that_worked_between_begins_the_count_anew(self) -> None:
        told = Told(failures=3)
        for _ in range(5):
            told.run(HealthEffect.FAILED, HealthEffect.FAILED, HealthEffect.WORKED)
        told.fail(2)
        assert told.state() is ProviderState.HEALTHY
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_they_need_not_be_close_together(self) -> None:
        told = Told(failures=3, window=60.0)
        for _ in range(3):
            told.wait(100_000)
            told.fail(1)
        assert told.state() is ProviderState.COOLING

    @pytest.mark.parametrize("effect", [HealthEffect.ANSWERED, HealthEffect.NONE])
    def test_what_counts_neither_way_does_not_end_the_row(self, effect: HealthEffect) -> None:
        told = Told(failures=3)
        told.run(HealthEffect.FAILED, effect, HealthEffect.FAILED, effect, HealthEffect.FAILED)
        assert told.state() is ProviderState.COOLING

    def test_never_is_never(self) -> None:
        told = Told(failures=never, error_rate=never)
        told.fail(1000)
        assert told.state() is ProviderState.HEALTHY

    def test_the_row_begins_anew_after_the_cooldown(self) -> None:
        told = Told(failures=3, cooldown=10)
        told.fail(3)
        told.wait(10)
        told.run(HealthEffect.WORKED, HealthEffect.FAILED, HealthEffect.FAILED)
        assert told.state() is ProviderState.HEALTHY

    def test_the_row_begins_anew_after_a_revival(self) -> None:
        told = Told(failures=3)
        told.fail(2)
        told.revive()
        told.fail(2)
        assert told.state() is ProviderState.HEALTHY

    def test_the_reason_tells_the_row_and_its_last_failure(self) -> None:
        told = Told(failures=2)
        told.fail(1)
        told.end(told.admitted(), HealthEffect.FAILED, reason="JobTimeout: no answer within 60.0 s")
        assert told.health.reason == "2 failures in a row, the last one JobTimeout: no answer within 60.0 s"


class TestErrorRate:
    """A share of failures over the last while, where there were enough attempts to say so."""

    def told(self, **rules: Any) -> Told:
        return Told(**{"failures": never, "error_rate": 0.5, "min_samples": 4, "window": 60.0, **rules})

    def test_above_it_the_provider_cools(self) -> None:
        told = self.told()
        told.run(HealthEffect.WORKED, HealthEffect.FAILED, HealthEffect.FAILED)
        assert told.state() is ProviderState.HEALTHY
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_exactly_at_it_is_not_above(self) -> None:
        told = self.told()
        told.run(*[HealthEffect.WORKED, HealthEffect.FAILED] * 50)
        assert told.state() is ProviderState.HEALTHY
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_a_rate_that_no_binary_number_is_equal_to_is_still_met(self) -> None:
        told = self.told(error_rate=0.7, min_samples=10)
        told.work(3)
        told.fail(7)
        assert told.state() is ProviderState.HEALTHY
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_fewer_attempts_than_the_least_say_nothing(self) -> None:
        told = self.told(min_samples=20)
        told.fail(19)
        assert told.state() is ProviderState.HEALTHY
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_a_success_never_cools_even_if_it_makes_the_samples_enough(self) -> None:
        told = self.told()
        told.fail(3)
        told.work(1)
        assert told.state() is ProviderState.HEALTHY

    def test_attempts_leave_the_window(self) -> None:
        told = self.told()
        told.fail(3)
        told.wait(60)
        told.fail(1)
        assert told.state() is ProviderState.HEALTHY

    def test_attempts_within_it_stay(self) -> None:
        told = self.told()
        told.fail(3)
        told.wait(53.9)
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_good_attempts_leave_it_as_well(self) -> None:
        told = self.told()
        told.work(100)
        told.wait(60)
        told.fail(3)
        assert told.state() is ProviderState.HEALTHY
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_attempts_leave_one_after_the_other(self) -> None:
        """A failure every 20 seconds is never more than three within a minute."""
        told = self.told()
        for _ in range(100):
            told.wait(20)
            told.fail(1)
        assert told.state() is ProviderState.HEALTHY

    def test_a_window_of_nothing_holds_only_what_happens_at_once(self) -> None:
        told = self.told(window=0.0)
        for _ in range(100):
            told.wait(1)
            told.fail(1)
        assert told.state() is ProviderState.HEALTHY
        told.wait(1)
        told.fail(4)
        assert told.state() is ProviderState.COOLING

    @pytest.mark.parametrize("effect", [HealthEffect.ANSWERED, HealthEffect.NONE])
    def test_what_counts_neither_way_is_no_sample(self, effect: HealthEffect) -> None:
        told = self.told()
        told.run(HealthEffect.FAILED, *[effect] * 100, HealthEffect.FAILED, HealthEffect.FAILED)
        assert told.state() is ProviderState.HEALTHY
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_zero_is_zero(self) -> None:
        told = self.told(error_rate=0.0)
        told.work(100)
        assert told.state() is ProviderState.HEALTHY
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_one_is_never_exceeded(self) -> None:
        told = self.told(error_rate=1.0)
        told.fail(100)
        assert told.state() is ProviderState.HEALTHY

    def test_the_reason_tells_the_share_and_the_last_failure(self) -> None:
        told = self.told()
        told.work(1)
        told.fail(2)
        told.end(told.admitted(), HealthEffect.FAILED, reason="MalformedReply: HTML")
        share = "3 of 4 attempts failed within 60 s"
        assert told.health.reason == f"{share}, the last one MalformedReply: HTML"


class TestCooling:
    def test_nobody_may_ask_until_it_is_over(self) -> None:
        told = cooling(cooldown=30.0)
        assert told.health.opens_at == told.health.until == 1030
        told.wait(29.9)
        assert told.ask() is None
        told.wait(0.1)
        assert told.ask() is not None

    def test_it_tells_since_when(self) -> None:
        told = cooling(cooldown=30.0)
        told.wait(10)
        assert told.health.since == 1000

    def test_zero_is_zero(self) -> None:
        told = Told(failures=1, cooldown=0.0)
        told.fail(1)
        assert told.state() is ProviderState.HALF_OPEN
        told.probe()
        assert told.ask() is None

    def test_attempts_that_were_under_way_say_nothing_more(self) -> None:
        told = Told(failures=1, cooldown=30.0)
        early, late = told.admitted(), told.admitted()
        told.fail(1)
        told.wait(5)
        for stale, effect in ((early, HealthEffect.FAILED), (late, HealthEffect.WORKED)):
            told.end(stale, effect)
            assert told.health.until == 1030
            assert told.state() is ProviderState.COOLING

    def test_nor_do_they_once_it_is_healthy_again(self) -> None:
        told = Told(failures=2, cooldown=30.0)
        stale = told.admitted()
        told.fail(2)
        told.wait(30)
        told.run(HealthEffect.WORKED, HealthEffect.FAILED)
        told.end(stale, HealthEffect.FAILED)
        assert told.state() is ProviderState.HEALTHY


class TestBusy:
    """A service that asks for fewer requests gets none for a while."""

    def test_it_cools_at_once(self) -> None:
        told = Told(failures=never, busy_cooldown=2.0)
        told.end(told.admitted(), HealthEffect.RATE_LIMITED, reason="RateLimited: HTTP 429")
        assert told.state() is ProviderState.COOLING
        assert told.health.until == 1002
        assert told.health.reason == "RateLimited: HTTP 429"

    def test_for_as_long_as_the_service_asks_for(self) -> None:
        told = Told(busy_cooldown=2.0)
        told.end(told.admitted(), HealthEffect.RATE_LIMITED, after=60.0)
        assert told.health.until == 1060

    def test_also_where_that_is_shorter(self) -> None:
        told = Told(busy_cooldown=2.0)
        told.end(told.admitted(), HealthEffect.RATE_LIMITED, after=0.5)
        assert told.health.until == 1000.5

    def test_zero_is_zero(self) -> None:
        told = Told(busy_cooldown=2.0)
        told.end(told.admitted(), HealthEffect.RATE_LIMITED, after=0.0)
        assert told.health.until == 1000
        assert told.ask() is not None
        told = Told(busy_cooldown=0.0)
        told.end(told.admitted(), HealthEffect.RATE_LIMITED)
        assert told.ask() is not None

    def test_one_more_only_ever_lengthens_it(self) -> None:
        told = Told()
        several = [told.admitted() for _ in range(4)]
        for given, after, until in zip(
            several, (10.0, 3.0, 0.0, 20.0), (1010, 1010, 1010, 1020), strict=True
        ):
            told.end(given, HealthEffect.RATE_LIMITED, after=after)
            assert told.health.until == until

    def test_it_lengthens_the_cooldown_of_one_that_failed_and_never_shortens_it(self) -> None:
        told = Told(failures=1, cooldown=30.0)
        short, long = told.admitted(), told.admitted()
        told.fail(1)
        told.end(short, HealthEffect.RATE_LIMITED, after=1.0)
        assert told.health.until == 1030
        told.end(long, HealthEffect.RATE_LIMITED, after=100.0)
        assert told.health.until == 1100

    def test_it_says_nothing_of_failures(self) -> None:
        told = Told(failures=2, busy_cooldown=2.0, cooldown=30.0)
        told.run(HealthEffect.FAILED, HealthEffect.RATE_LIMITED)
        assert told.health.until == 1002

    def test_it_does_not_bring_back_one_that_is_out(self) -> None:
        told = Told()
        busy = told.admitted()
        told.end(told.admitted(), HealthEffect.REFUSED)
        told.end(busy, HealthEffect.RATE_LIMITED, after=1.0)
        assert told.state() is ProviderState.OUT
        assert told.health.opens_at is None


class TestFull:
    """A service that has no free worker is well: after its pause all may come back, without a probe."""

    def test_it_cools_at_once(self) -> None:
        told = Told(failures=never, busy_cooldown=2.0)
        told.end(told.admitted(), HealthEffect.SERVICE_BUSY, reason="ServiceBusy: no slot")
        assert told.state() is ProviderState.COOLING
        assert (told.health.until, told.health.reason) == (1002, "ServiceBusy: no slot")
        assert told.ask() is None

    def test_then_it_is_healthy_and_all_may_ask_it(self) -> None:
        told = Told(busy_cooldown=2.0)
        told.run(HealthEffect.SERVICE_BUSY)
        told.wait(2)
        assert told.state() is ProviderState.HEALTHY
        seen = told.health.seen_at(told.now)
        assert (seen.state, seen.reason, seen.until) == (ProviderState.HEALTHY, None, None)
        assert not any(told.admitted().is_probe for _ in range(100))

    def test_one_that_was_asked_at_the_same_time_only_lengthens_its_pause(self) -> None:
        told = Told()
        several = [told.admitted() for _ in range(3)]
        for given, after in zip(several, (5.0, 4.0, 6.0), strict=True):
            told.end(given, HealthEffect.SERVICE_BUSY, after=after)
        assert told.health.until == 1006
        told.wait(6)
        assert told.state() is ProviderState.HEALTHY

    def test_where_it_asks_for_fewer_requests_as_well_a_probe_goes_first(self) -> None:
        told = Told()
        full, limited = told.admitted(), told.admitted()
        told.end(full, HealthEffect.SERVICE_BUSY, after=5.0)
        told.end(limited, HealthEffect.RATE_LIMITED, after=5.0)
        told.wait(5)
        told.probe()
        assert told.ask() is None

    @pytest.mark.parametrize("failure", [HealthEffect.LOST, HealthEffect.UNREACHED])
    def test_a_probe_that_is_told_so_has_found_that_orders_arrive_again(self, failure: HealthEffect) -> None:
        told = Told(failures=1, cooldown=30.0)
        told.run(failure)
        told.wait(30)
        told.end(told.probe(), HealthEffect.SERVICE_BUSY, after=5.0)
        told.wait(5)
        assert told.state() is ProviderState.HEALTHY

    def test_one_whose_jobs_failed_still_has_to_answer_a_probe(self) -> None:
        told = cooling(cooldown=30.0)
        told.wait(30)
        told.end(told.probe(), HealthEffect.SERVICE_BUSY, after=5.0)
        told.wait(5)
        probe = told.probe()
        told.created(probe)
        assert told.state() is ProviderState.HALF_OPEN
        told.end(probe, HealthEffect.WORKED)
        assert told.state() is ProviderState.HEALTHY

    def test_it_never_counts_as_a_failure(self) -> None:
        told = Told(failures=3, busy_cooldown=0.0)
        told.run(
            HealthEffect.FAILED,
            HealthEffect.SERVICE_BUSY,
            HealthEffect.FAILED,
            HealthEffect.SERVICE_BUSY,
            HealthEffect.FAILED,
            HealthEffect.SERVICE_BUSY,
        )
        assert told.state() is ProviderState.HEALTHY


class TestEarlyProbes:
    """A solve that has nobody else to ask does not wait for the end of the cooldown."""

    def pauses(self, effect: HealthEffect, number: int, **rules: Any) -> list[float]:
        """Between probes that all fail so, each as early as it may be."""
        told = Told(failures=1, **rules)
        told.run(effect)
        pauses: list[float] = []
        for _ in range(number):
            opens = told.health.opens_early_at(math.inf)
            assert opens is not None
            pauses.append(opens - told.now)
            told.now = opens
            given = told.ask(is_early=True)
            assert given is not None
            assert given.is_probe
            assert told.ask(is_early=True) is None
            told.end(given, effect)
        return pauses

    def test_free_ones_come_every_five_seconds_at_last(self) -> None:
        assert self.pauses(HealthEffect.UNREACHED, 6, cooldown=30.0) == [1, 2, 4, 5, 5, 5]

    @pytest.mark.parametrize("effect", [HealthEffect.LOST, HealthEffect.FAILED])
    def test_those_that_may_cost_something_every_ten(self, effect: HealthEffect) -> None:
        assert self.pauses(effect, 6, cooldown=30.0) == [2, 4, 8, 10, 10, 10]

    @pytest.mark.parametrize("effect", [HealthEffect.UNREACHED, HealthEffect.LOST, HealthEffect.FAILED])
    def test_never_later_than_the_cooldown_would_have_them(self, effect: HealthEffect) -> None:
        assert self.pauses(effect, 3, cooldown=0.5) == [0.5, 0.5, 0.5]

    def test_everybody_else_waits_for_the_cooldown(self) -> None:
        told = Told(failures=1, cooldown=30.0)
        told.run(HealthEffect.UNREACHED)
        told.wait(29)
        assert told.ask() is None
        assert told.ask(is_early=True) is not None

    def test_a_solve_at_its_end_may_send_a_free_one_a_second_after_the_last(self) -> None:
        told = Told(failures=1, cooldown=30.0)
        told.run(HealthEffect.UNREACHED)
        for pause in (1, 2, 4):
            told.wait(pause)
            given = told.ask(is_early=True)
            assert given is not None
            told.end(given, HealthEffect.UNREACHED)
        assert told.health.opens_early_at(math.inf) == told.now + 5
        assert told.health.opens_early_at(told.now + 3) == told.now + 3
        assert told.health.opens_early_at(told.now + 0.5) == told.now + 1

    def test_one_that_may_cost_something_it_may_not(self) -> None:
        told = Told(failures=1, cooldown=30.0)
        told.run(HealthEffect.LOST)
        assert told.health.opens_early_at(told.now) == told.now + 2

    @pytest.mark.parametrize("effect", [HealthEffect.UNREACHED, HealthEffect.LOST])
    def test_a_pause_that_the_service_asks_for_delays_it(self, effect: HealthEffect) -> None:
        told = Told(failures=1, cooldown=30.0)
        told.end(told.admitted(), effect, after=12.0)
        assert told.health.opens_early_at(told.now) == told.now + 12
        assert told.health.until == told.now + 30

    def test_but_not_beyond_the_cooldown(self) -> None:
        told = Told(failures=1, cooldown=30.0)
        told.end(told.admitted(), HealthEffect.LOST, after=3600.0)
        assert told.health.opens_early_at(told.now) == told.health.until == told.now + 30

    @pytest.mark.parametrize("effect", [HealthEffect.RATE_LIMITED, HealthEffect.SERVICE_BUSY])
    def test_one_that_asks_for_a_pause_has_it_from_everybody(self, effect: HealthEffect) -> None:
        told = Told()
        told.end(told.admitted(), effect, after=60.0)
        assert told.health.opens_early_at(told.now) == told.now + 60
        told.wait(59)
        assert told.ask(is_early=True) is None

    def test_also_where_it_failed_before(self) -> None:
        told = Told(failures=1, cooldown=30.0)
        busy = told.admitted()
        told.run(HealthEffect.UNREACHED)
        told.end(busy, HealthEffect.RATE_LIMITED, after=20.0)
        assert told.health.opens_early_at(told.now) == told.now + 20

    def test_one_that_is_out_has_none(self) -> None:
        told = out()
        assert told.health.opens_early_at(told.now) is None
        assert told.ask(is_early=True) is None

    def test_nor_while_another_one_is_out(self) -> None:
        told = Told(failures=1, cooldown=30.0)
        told.run(HealthEffect.UNREACHED)
        told.wait(5)
        assert told.ask(is_early=True) is not None
        assert told.health.opens_early_at(told.now) == math.inf


class TestProbe:
    """After a cooldown one attempt finds out for all the others."""

    def test_exactly_one_is_let_through(self) -> None:
        told = cooling(cooldown=30.0)
        told.wait(30)
        assert told.state() is ProviderState.HALF_OPEN
        told.probe()
        assert told.state() is ProviderState.HALF_OPEN
        told.wait(1e9)
        assert told.ask() is None

    def test_nobody_knows_when_the_others_may_ask(self) -> None:
        told = cooling(cooldown=30.0)
        told.wait(30)
        told.probe()
        assert told.health.opens_at == math.inf
        assert told.health.until is None

    def test_it_still_tells_what_happened_and_since_when(self) -> None:
        told = cooling(cooldown=30.0)
        reason = told.health.reason
        told.wait(50)
        told.probe()
        assert (told.health.reason, told.health.since) == (reason, 1000)

    @pytest.mark.parametrize("effect", [HealthEffect.WORKED, HealthEffect.ANSWERED])
    def test_one_that_is_answered_ends_it(self, effect: HealthEffect) -> None:
        """Also a job that failed as jobs do: the service works."""
        told = cooling(cooldown=30.0)
        told.wait(30)
        told.run(effect)
        assert told.state() is ProviderState.HEALTHY
        assert (told.health.reason, told.health.since, told.health.until) == (None, 1030, None)
        assert not told.admitted().is_probe

    def test_one_that_fails_begins_another_cooldown(self) -> None:
        told = cooling(cooldown=30.0)
        told.wait(40)
        told.end(told.probe(), HealthEffect.FAILED, reason="ServiceUnavailable: no route to host")
        assert (told.health.since, told.health.until) == (1040, 1070)
        assert told.health.reason == "ServiceUnavailable: no route to host"

    def test_a_single_failure_is_enough_for_that(self) -> None:
        told = Told(failures=5, cooldown=30.0)
        told.fail(5)
        told.wait(30)
        told.fail(1)
        assert told.state() is ProviderState.COOLING

    def test_one_that_came_to_nothing_frees_the_place_for_the_next(self) -> None:
        """It was cancelled, or the task was the caller's mistake."""
        told = cooling(cooldown=30.0)
        reason = told.health.reason
        told.wait(30)
        told.end(told.probe(), HealthEffect.NONE)
        assert told.state() is ProviderState.HALF_OPEN
        assert (told.health.reason, told.health.since) == (reason, 1000)
        told.probe()
        assert told.ask() is None

    def test_one_that_finds_it_busy_waits_for_as_long_as_the_service_asks_for(self) -> None:
        told = cooling(cooldown=30.0)
        told.wait(30)
        told.end(told.probe(), HealthEffect.RATE_LIMITED, after=5.0)
        assert told.health.until == 1035

    def test_one_that_finds_the_account_refused_takes_it_out(self) -> None:
        told = cooling(cooldown=30.0)
        told.wait(30)
        told.run(HealthEffect.REFUSED)
        assert told.state() is ProviderState.OUT

    def test_what_was_under_way_before_does_not_speak_for_it(self) -> None:
        told = Told(failures=1, cooldown=30.0)
        stale = [told.admitted() for _ in range(3)]
        told.fail(1)
        told.wait(30)
        probe = told.probe()
        for given, effect in zip(
            stale, (HealthEffect.WORKED, HealthEffect.FAILED, HealthEffect.NONE), strict=True
        ):
            told.end(given, effect)
            assert told.ask() is None
        told.end(probe, HealthEffect.WORKED)
        assert told.state() is ProviderState.HEALTHY

    def test_an_earlier_attempt_that_was_told_to_wait_lets_no_second_one_through(self) -> None:
        """What the probe finds out is newer."""
        told = Told(failures=1, cooldown=30.0)
        stale = told.admitted()
        told.fail(1)
        told.wait(30)
        probe = told.probe()
        told.end(stale, HealthEffect.RATE_LIMITED, after=1.0)
        told.wait(1)
        assert told.ask() is None
        told.end(probe, HealthEffect.WORKED)
        assert told.state() is ProviderState.HEALTHY

    def test_one_that_was_under_way_before_a_revival_does_not_speak_for_it(self) -> None:
        told = cooling(cooldown=30.0)
        told.wait(30)
        probe = told.probe()
        told.revive()
        told.end(probe, HealthEffect.FAILED)
        assert told.state() is ProviderState.HEALTHY


class TestCreated:
    """A job that was created shows that a service takes orders again, where its jobs are not what failed."""

    def busy(self, **rules: Any) -> Told:
        told = Told(busy_cooldown=2.0, **rules)
        told.run(HealthEffect.RATE_LIMITED)
        return told

    def test_it_ends_the_cooldown_of_one_that_was_only_busy(self) -> None:
        told = self.busy()
        told.wait(2)
        told.created(told.probe())
        assert told.state() is ProviderState.HEALTHY
        assert not told.admitted().is_probe

    @pytest.mark.parametrize("failure", [HealthEffect.LOST, HealthEffect.UNREACHED])
    def test_it_ends_the_cooldown_of_one_that_got_no_orders(self, failure: HealthEffect) -> None:
        told = Told(failures=1, cooldown=30.0)
        told.run(failure)
        told.wait(30)
        told.created(told.probe())
        assert told.state() is ProviderState.HEALTHY

    def test_it_does_not_end_that_of_one_that_failed(self) -> None:
        """Its jobs may be what fails."""
        told = cooling(cooldown=30.0)
        told.wait(30)
        told.created(told.probe())
        assert told.state() is ProviderState.HALF_OPEN
        assert told.ask() is None

    def test_nor_where_it_was_busy_as_well(self) -> None:
        told = Told(failures=1, cooldown=30.0)
        busy = told.admitted()
        told.fail(1)
        told.end(busy, HealthEffect.RATE_LIMITED, after=60.0)
        told.wait(60)
        told.created(told.probe())
        assert told.state() is ProviderState.HALF_OPEN

    def test_nor_where_a_probe_of_it_found_it_busy(self) -> None:
        told = cooling(cooldown=30.0)
        told.wait(30)
        told.end(told.probe(), HealthEffect.RATE_LIMITED, after=5.0)
        told.wait(5)
        told.created(told.probe())
        assert told.state() is ProviderState.HALF_OPEN

    def test_nor_where_a_probe_of_a_busy_one_failed(self) -> None:
        told = self.busy(cooldown=30.0)
        told.wait(2)
        told.fail(1)
        told.wait(30)
        told.created(told.probe())
        assert told.state() is ProviderState.HALF_OPEN

    def test_it_ends_it_after_several_rate_limits(self) -> None:
        told = self.busy()
        for _ in range(3):
            told.wait(2)
            told.run(HealthEffect.RATE_LIMITED)
        told.wait(2)
        told.created(told.probe())
        assert told.state() is ProviderState.HEALTHY

    def test_it_ends_it_after_a_probe_that_came_to_nothing(self) -> None:
        told = self.busy()
        told.wait(2)
        told.run(HealthEffect.NONE)
        told.created(told.probe())
        assert told.state() is ProviderState.HEALTHY

    def test_only_a_job_of_the_probe_does(self) -> None:
        told = Told(busy_cooldown=2.0)
        stale = told.admitted()
        told.run(HealthEffect.RATE_LIMITED)
        told.created(stale)
        assert told.state() is ProviderState.COOLING
        told.wait(2)
        told.probe()
        told.created(stale)
        assert told.state() is ProviderState.HALF_OPEN

    def test_a_job_of_a_probe_of_before_a_revival_does_not(self) -> None:
        told = self.busy()
        told.wait(2)
        probe = told.probe()
        told.revive()
        told.run(HealthEffect.RATE_LIMITED)
        told.created(probe)
        assert told.state() is ProviderState.COOLING

    def test_what_comes_of_that_job_says_nothing_more(self) -> None:
        told = self.busy(failures=1)
        told.wait(2)
        probe = told.probe()
        told.created(probe)
        told.end(probe, HealthEffect.FAILED)
        assert told.state() is ProviderState.HEALTHY

    def test_in_a_healthy_provider_it_changes_nothing(self) -> None:
        told = Told()
        given = told.admitted()
        before = told.health
        told.created(given)
        assert told.health == before

    def test_one_that_is_out_stays_out(self) -> None:
        told = self.busy()
        told.wait(2)
        probe = told.probe()
        told.end(probe, HealthEffect.REFUSED)
        told.created(probe)
        assert told.state() is ProviderState.OUT


class TestOut:
    """The account is refused or empty, and no waiting mends that."""

    def test_it_is_out_at_the_first_refusal(self) -> None:
        told = out(failures=never, error_rate=never)
        assert (told.health.reason, told.health.since) == ("the token is wrong", 1000)
        assert told.health.until is None

    def test_no_waiting_helps(self) -> None:
        told = out()
        assert told.health.opens_at is None
        told.wait(1e9)
        assert told.ask() is None
        assert told.state() is ProviderState.OUT

    def test_a_revival_helps(self) -> None:
        told = out()
        told.revive()
        assert told.state() is ProviderState.HEALTHY
        assert not told.admitted().is_probe

    @pytest.mark.parametrize("effect", list(HealthEffect))
    def test_nothing_that_was_under_way_does(self, effect: HealthEffect) -> None:
        told = Told()
        stale = told.admitted()
        told.run(HealthEffect.REFUSED)
        before = told.health
        told.wait(5)
        told.end(stale, effect, reason="another")
        assert told.health == before

    def test_a_refusal_counts_although_it_was_asked_before_it_cooled(self) -> None:
        told = Told(failures=1)
        stale = told.admitted()
        told.fail(1)
        told.end(stale, HealthEffect.REFUSED)
        assert told.state() is ProviderState.OUT

    def test_a_refusal_of_before_a_revival_counts_no_more(self) -> None:
        """The account was mended since."""
        told = Told()
        first, second, third = (told.admitted() for _ in range(3))
        told.end(first, HealthEffect.REFUSED)
        told.revive()
        told.end(second, HealthEffect.REFUSED)
        assert told.state() is ProviderState.HEALTHY
        told.revive()
        told.end(third, HealthEffect.REFUSED)
        assert told.state() is ProviderState.HEALTHY

    def test_a_refusal_of_after_it_does(self) -> None:
        told = out()
        told.revive()
        told.run(HealthEffect.REFUSED)
        assert told.state() is ProviderState.OUT


class TestRevival:
    def test_it_ends_a_cooldown(self) -> None:
        told = cooling(cooldown=30.0)
        told.revive()
        assert told.state() is ProviderState.HEALTHY
        assert not told.admitted().is_probe

    def test_it_forgets_what_was_counted(self) -> None:
        told = Told(failures=never, error_rate=0.5, min_samples=4)
        told.fail(3)
        told.revive()
        told.fail(3)
        assert told.state() is ProviderState.HEALTHY

    def test_failures_of_before_it_count_no_more(self) -> None:
        told = Told(failures=1)
        stale = told.admitted()
        told.revive()
        told.end(stale, HealthEffect.FAILED)
        assert told.state() is ProviderState.HEALTHY


class TestTheCallersMistakes:
    @pytest.mark.parametrize("mistake", [TaskError("no picture"), TaskRefused("a bad picture")])
    def test_they_never_count(self, mistake: TaskError) -> None:
        told = Told(failures=1, error_rate=0.0, min_samples=1)
        before = told.health
        told.run(*[row_for(mistake).health] * 1000)
        assert told.health == before

    def test_nor_do_attempts_that_nobody_wanted_any_more(self) -> None:
        told = Told(failures=1, error_rate=0.0, min_samples=1)
        before = told.health
        told.run(*[HealthEffect.NONE] * 1000)
        assert told.health == before


@attrs.define
class Cooldown:
    """A time in which nobody is to ask, or only who has nobody else.

    ``proof`` is what ends it for all: 0 for time alone, 1 for a job that is created, 2 for an answer.
    """

    until: float
    proof: int
    earliest: float = never


@attrs.frozen(eq=False)
class Ongoing:
    """An attempt that is under way, and how things stood when it was let through."""

    given: HealthPermit
    chapter: int
    revivals: int


class Model:
    """What ought to hold, told as a story whose chapters are all kept: nothing is counted or forgotten.

    A chapter is what the provider is for a time: HEALTHY, OUT, a cooldown, or the probe that follows it.
    """

    def __init__(self, rules: HealthSettings) -> None:
        self.rules = rules
        self.chapters: list[ProviderState | Cooldown | Ongoing] = [ProviderState.HEALTHY]
        self.revivals = 0
        self.came_to_nothing: list[ProviderState | Cooldown | Ongoing] = []
        self.ends: list[tuple[int, float, bool]] = []
        """Every attempt that counted: its chapter, when it ended, and whether it failed."""

    def state(self, now: float) -> ProviderState:
        match self.chapters[-1]:
            case Cooldown(until, proof):
                due = ProviderState.HALF_OPEN if proof else ProviderState.HEALTHY
                return ProviderState.COOLING if now < until else due
            case Ongoing():
                return ProviderState.HALF_OPEN
            case state:
                return state

    def may_ask(self, now: float, *, is_early: bool) -> bool:
        last = self.chapters[-1]
        if isinstance(last, Cooldown):
            return now >= (min(last.until, last.earliest) if is_early else last.until)
        return last is ProviderState.HEALTHY

    def see(self, now: float) -> None:
        """One that was only full is well once its pause is over."""
        if isinstance(self.chapters[-1], Cooldown) and self.state(now) is ProviderState.HEALTHY:
            self.chapters.append(ProviderState.HEALTHY)

    def ask(self, attempt: Ongoing) -> bool:
        """Whether this attempt is a probe."""
        is_probe = isinstance(self.chapters[-1], Cooldown)
        if is_probe:
            self.chapters.append(attempt)
        return is_probe

    def proof(self) -> int:
        """What it takes to end what has happened since it was healthy last."""
        since = len(self.chapters) - self.chapters[::-1].index(ProviderState.HEALTHY)
        return next((one.proof for one in self.chapters[: since - 1 : -1] if isinstance(one, Cooldown)), 0)

    def created(self, attempt: Ongoing) -> None:
        if self.chapters[-1] is attempt and self.proof() < 2:
            self.chapters.append(ProviderState.HEALTHY)

    def revive(self) -> None:
        self.revivals += 1
        self.chapters.append(ProviderState.HEALTHY)

    def end(self, attempt: Ongoing, effect: HealthEffect, now: float, retry_after: float | None) -> None:
        last = self.chapters[-1]
        if last is ProviderState.OUT:
            return
        if effect is HealthEffect.REFUSED:
            if attempt.revivals == self.revivals:
                self.chapters.append(ProviderState.OUT)
        elif effect in (HealthEffect.RATE_LIMITED, HealthEffect.SERVICE_BUSY):
            pause = self.rules.busy_cooldown if retry_after is None else retry_after
            self._paused(attempt, now + pause, int(effect is HealthEffect.RATE_LIMITED))
        elif last is attempt:
            self._probed(effect, now, retry_after)
        elif last is ProviderState.HEALTHY and attempt.chapter == len(self.chapters):
            self._counted(effect, now, retry_after)

    def _paused(self, attempt: Ongoing, until: float, proof: int) -> None:
        last = self.chapters[-1]
        if isinstance(last, Cooldown):
            last.until, last.proof = max(last.until, until), max(last.proof, proof)
            last.earliest = max(last.earliest, until)
        elif last is ProviderState.HEALTHY or last is attempt:
            self.chapters.append(Cooldown(until, 2 if self.proof() == 2 else proof))

    def _failed(self, effect: HealthEffect, now: float, retry_after: float | None) -> None:
        probes = self.failed_probes()
        free = effect is HealthEffect.UNREACHED
        pause = 1.0 if free else min(2.0 * 2.0**probes, 10.0)
        earliest = now + min(max(pause, retry_after or 0), self.rules.cooldown)
        proof = max(self.proof(), 2 if effect is HealthEffect.FAILED else 1)
        self.chapters.append(Cooldown(now + self.rules.cooldown, proof, earliest))

    def failed_probes(self) -> int:
        """How many there were since a pause that it asked for, or since it was healthy last."""
        number = 0
        for one in reversed(self.chapters):
            if one is ProviderState.HEALTHY or (isinstance(one, Cooldown) and one.earliest == never):
                break
            number += isinstance(one, Ongoing) and one not in self.came_to_nothing
        return number

    def _probed(self, effect: HealthEffect, now: float, retry_after: float | None) -> None:
        if effect in (HealthEffect.WORKED, HealthEffect.ANSWERED):
            self.chapters.append(ProviderState.HEALTHY)
        elif effect in FAILURES:
            self._failed(effect, now, retry_after)
        else:
            before = self.chapters[-2]
            assert isinstance(before, Cooldown)
            self.came_to_nothing.append(self.chapters[-1])
            self.chapters.append(Cooldown(now, before.proof, before.earliest))

    def _counted(self, effect: HealthEffect, now: float, retry_after: float | None) -> None:
        failed = effect in FAILURES
        if failed or effect is HealthEffect.WORKED:
            self.ends.append((len(self.chapters), now, failed))
        if failed and (self._too_many_in_a_row() or self._too_many_of_late(now)):
            self._failed(effect, now, retry_after)

    def _too_many_in_a_row(self) -> bool:
        failed = [failed for chapter, _, failed in self.ends if chapter == len(self.chapters)]
        return len(list(takewhile(bool, reversed(failed)))) >= self.rules.failures

    def _too_many_of_late(self, now: float) -> bool:
        late = [
            failed
            for chapter, ended, failed in self.ends
            if chapter == len(self.chapters) and ended > now - self.rules.window
        ]
        return len(late) >= self.rules.min_samples and sum(late) > self.rules.error_rate * len(late)


# Times are whole seconds and the window is ten of them, so that samples leave it one second at a time.
few = st.integers(0, 12).map(float)
# What happens often is here more than once.
effects = st.sampled_from([*[HealthEffect.FAILED] * 6, *[HealthEffect.WORKED] * 4, *HealthEffect])
rules_of_health = st.builds(
    HealthSettings,
    failures=st.sampled_from([2, 3, never, never]),
    error_rate=st.sampled_from([0.0, 0.5, 0.5, never]),
    window=st.just(10.0),
    min_samples=st.integers(1, 5),
    cooldown=few,
    busy_cooldown=few,
)


class HealthMachine(RuleBasedStateMachine):
    """Attempts begin and end in any order, while time passes, and it stands as the model says."""

    under_way = Bundle("under_way")

    @initialize(rules=rules_of_health, now=few)
    def begin(self, rules: HealthSettings, now: float) -> None:
        self.now = now
        self.model = Model(rules)
        self.health = Health(rules)
        # What follows is seen from outside, and owes nothing to the model.
        self.probes_out: set[Ongoing] = set()
        self.probes = 0
        self.cooldowns = 0

    def become(self, health: Health, *, comes_to_nothing: bool = False) -> None:
        began_to_cool = (
            health.state is ProviderState.COOLING and self.health.state is not ProviderState.COOLING
        )
        self.cooldowns += began_to_cool and not comes_to_nothing
        self.health = health

    @rule(seconds=few)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.health.state is ProviderState.COOLING)
    @rule(before=st.sampled_from([0.0, 1.0]))
    def its_cooldown_passes(self, before: float) -> None:
        """To its very end, or to the second before."""
        assert self.health.until is not None
        self.now = max(self.now, self.health.until - before)

    @precondition(lambda self: self.health.state is ProviderState.COOLING)
    @rule()
    def its_first_early_probe_is_due(self) -> None:
        opens_at = self.health.opens_early_at(-math.inf)
        assert opens_at is not None
        self.now = max(self.now, opens_at)

    @rule(target=under_way, many=st.integers(1, 3), is_early=st.booleans())
    def attempts_begin(self, many: int, is_early: bool) -> Any:
        begun = [self.ask(is_early=is_early) for _ in range(many)]
        return multiple(*(attempt for attempt in begun if attempt is not None))

    @rule(attempt=under_way)
    def its_job_is_created(self, attempt: Ongoing) -> None:
        self.become(self.health.created(attempt.given, self.now))
        self.model.created(attempt)
        if self.health.state is ProviderState.HEALTHY:
            self.probes_out.discard(attempt)

    @rule(attempt=consumes(under_way), effect=st.sampled_from(HealthEffect), retry_after=st.none() | few)
    def an_attempt_ends(self, attempt: Ongoing, effect: HealthEffect, retry_after: float | None) -> None:
        was_out = self.health.state is ProviderState.OUT
        comes_to_nothing = attempt in self.probes_out and effect is HealthEffect.NONE
        after = self.health.after(attempt.given, effect, self.now, reason="it broke", retry_after=retry_after)
        self.become(after, comes_to_nothing=comes_to_nothing)
        self.model.end(attempt, effect, self.now, retry_after)
        assert not was_out or self.health.state is ProviderState.OUT
        self.probes -= comes_to_nothing
        self.probes_out.discard(attempt)

    @rule(
        attempts=st.lists(st.tuples(st.sampled_from([0.0, 0.0, 1.0, 5.0]), effects), min_size=3, max_size=12)
    )
    def attempts_come_and_go(self, attempts: list[tuple[float, HealthEffect]]) -> None:
        """One after the other, while those that are under way still are."""
        for wait, effect in attempts:
            self.now += wait
            if (attempt := self.ask()) is not None:
                self.an_attempt_ends(attempt, effect, None)
                self.it_stands_as_the_model_says()

    @rule(is_needed=st.sampled_from([True, True, True, False]))
    def somebody_revives_it(self, is_needed: bool) -> None:
        """Because it is out, or for no reason."""
        if is_needed and self.health.state is not ProviderState.OUT:
            return
        self.become(self.health.revived(self.now))
        self.model.revive()
        # Whatever is under way now finds out nothing for the others any more.
        self.probes_out.clear()

    def ask(self, *, is_early: bool = False) -> Ongoing | None:
        opens_at = self.health.opens_early_at(-math.inf) if is_early else self.health.opens_at
        until = self.health.until
        health, given = self.health.admit(self.now, is_early=is_early)
        self.become(health)
        assert (given is not None) == self.model.may_ask(self.now, is_early=is_early)
        assert (given is not None) == (opens_at is not None and opens_at <= self.now)
        if given is None:
            return None
        assert is_early or until is None or until <= self.now
        self.model.see(self.now)
        attempt = Ongoing(given, len(self.model.chapters), self.model.revivals)
        assert given.is_probe == self.model.ask(attempt)
        if given.is_probe:
            self.probes += 1
            self.probes_out.add(attempt)
        return attempt

    @invariant()
    def it_stands_as_the_model_says(self) -> None:
        assert self.health.state_at(self.now) is self.model.state(self.now)

    @invariant()
    def at_most_one_probe_is_out(self) -> None:
        assert len(self.probes_out) <= 1

    @invariant()
    def every_probe_has_a_cooldown_of_its_own(self) -> None:
        """But for those that came to nothing."""
        assert self.probes <= self.cooldowns

    @invariant()
    def what_it_tells_fits_together(self) -> None:
        health, state = self.health.seen_at(self.now), self.health.state_at(self.now)
        assert (health.reason is None) == (state is ProviderState.HEALTHY)
        assert (health.until is not None) == (health.state is ProviderState.COOLING)
        assert (health.opens_at is None) == (state is ProviderState.OUT)
        assert health.since is None or health.since <= self.now


HealthMachine.TestCase.settings = settings(stateful_step_count=50)
TestHealthMachine = HealthMachine.TestCase
