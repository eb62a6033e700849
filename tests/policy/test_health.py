"""The circuit breaker: when a provider cools down, for how long, and what shows that it works again."""

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


class Breaker:
    """The health of a provider, changed by what happens next. Times are in seconds."""

    def __init__(self, **rules: Any) -> None:
        self.health = Health(HealthSettings(**rules))
        self.now = 1000.0

    def state(self) -> ProviderState:
        return self.health.state_at(self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def try_to_begin(self, *, is_early: bool = False) -> HealthPermit | None:
        """The permit of one more attempt, or None; ``is_early`` for a solve without another provider."""
        self.health, permit = self.health.admit(self.now, is_early=is_early)
        return permit

    def begin(self) -> HealthPermit:
        permit = self.try_to_begin()
        assert permit is not None
        return permit

    def probe(self) -> HealthPermit:
        permit = self.begin()
        assert permit.is_probe
        return permit

    def end(
        self,
        permit: HealthPermit,
        effect: HealthEffect,
        *,
        reason: str = "it broke",
        after: float | None = None,
    ) -> None:
        self.health = self.health.after(permit, effect, self.now, reason=reason, retry_after=after)

    def created(self, permit: HealthPermit) -> None:
        self.health = self.health.created(permit, self.now)

    def revive(self) -> None:
        self.health = self.health.revived(self.now)

    def run(self, *effects: HealthEffect) -> None:
        """Let attempts begin and end, one after the other."""
        for effect in effects:
            self.end(self.begin(), effect)

    def fail(self, times: int) -> None:
        self.run(*[HealthEffect.FAILED] * times)

    def work(self, times: int) -> None:
        self.run(*[HealthEffect.WORKED] * times)


def cooling(**rules: Any) -> Breaker:
    """A provider that has just failed too often."""
    breaker = Breaker(failures=1, **rules)
    breaker.fail(1)
    assert breaker.state() is ProviderState.COOLING
    return breaker


def out(**rules: Any) -> Breaker:
    """A provider that has just refused the account."""
    breaker = Breaker(**rules)
    breaker.end(breaker.begin(), HealthEffect.REFUSED, reason="the token is wrong")
    assert breaker.state() is ProviderState.OUT
    return breaker


class TestHealthy:
    def test_a_new_provider_is_healthy(self) -> None:
        health = Breaker().health
        assert health.state is ProviderState.HEALTHY
        assert (health.reason, health.since, health.until) == (None, None, None)

    def test_every_attempt_may_call_it(self) -> None:
        breaker = Breaker()
        assert breaker.health.opens_at == -math.inf
        assert not any(breaker.begin().is_probe for _ in range(100))

    def test_it_is_a_value_that_no_change_alters(self) -> None:
        breaker = Breaker(failures=1)
        before = breaker.health
        breaker.fail(1)
        assert before.state is ProviderState.HEALTHY


class TestFailuresInARow:
    def test_the_last_one_starts_the_cooldown(self) -> None:
        breaker = Breaker(failures=3)
        breaker.fail(2)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_a_success_in_between_starts_the_count_again(self) -> None:
        breaker = Breaker(failures=3)
        for _ in range(5):
            breaker.run(HealthEffect.FAILED, HealthEffect.FAILED, HealthEffect.WORKED)
        breaker.fail(2)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_they_need_not_be_close_together(self) -> None:
        breaker = Breaker(failures=3, window=60.0)
        for _ in range(3):
            breaker.wait(100_000)
            breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    @pytest.mark.parametrize("effect", [HealthEffect.ANSWERED, HealthEffect.NONE])
    def test_an_effect_that_does_not_count_does_not_end_the_row(self, effect: HealthEffect) -> None:
        breaker = Breaker(failures=3)
        breaker.run(HealthEffect.FAILED, effect, HealthEffect.FAILED, effect, HealthEffect.FAILED)
        assert breaker.state() is ProviderState.COOLING

    def test_infinity_turns_the_rule_off(self) -> None:
        breaker = Breaker(failures=never, error_rate=never)
        breaker.fail(1000)
        assert breaker.state() is ProviderState.HEALTHY

    def test_the_row_starts_again_after_the_cooldown(self) -> None:
        breaker = Breaker(failures=3, cooldown=10)
        breaker.fail(3)
        breaker.wait(10)
        breaker.run(HealthEffect.WORKED, HealthEffect.FAILED, HealthEffect.FAILED)
        assert breaker.state() is ProviderState.HEALTHY

    def test_the_row_starts_again_after_a_revival(self) -> None:
        breaker = Breaker(failures=3)
        breaker.fail(2)
        breaker.revive()
        breaker.fail(2)
        assert breaker.state() is ProviderState.HEALTHY

    def test_the_reason_has_the_number_and_the_last_failure(self) -> None:
        breaker = Breaker(failures=2)
        breaker.fail(1)
        breaker.end(breaker.begin(), HealthEffect.FAILED, reason="JobTimeout: no answer within 60.0 s")
        last = "JobTimeout: no answer within 60.0 s"
        assert breaker.health.reason == f"2 failures in a row, the last one {last}"


class TestErrorRate:
    """The share of failures within a window of time, if there were enough attempts in it."""

    def breaker(self, **rules: Any) -> Breaker:
        return Breaker(**{"failures": never, "error_rate": 0.5, "min_samples": 4, "window": 60.0, **rules})

    def test_a_higher_rate_starts_the_cooldown(self) -> None:
        breaker = self.breaker()
        breaker.run(HealthEffect.WORKED, HealthEffect.FAILED, HealthEffect.FAILED)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_the_rate_itself_does_not(self) -> None:
        breaker = self.breaker()
        breaker.run(*[HealthEffect.WORKED, HealthEffect.FAILED] * 50)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_a_rate_without_an_exact_binary_value_is_compared_exactly(self) -> None:
        breaker = self.breaker(error_rate=0.7, min_samples=10)
        breaker.work(3)
        breaker.fail(7)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_fewer_attempts_than_min_samples_do_not_count(self) -> None:
        breaker = self.breaker(min_samples=20)
        breaker.fail(19)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_a_success_never_starts_a_cooldown_even_if_it_completes_the_samples(self) -> None:
        breaker = self.breaker()
        breaker.fail(3)
        breaker.work(1)
        assert breaker.state() is ProviderState.HEALTHY

    def test_failures_leave_the_window(self) -> None:
        breaker = self.breaker()
        breaker.fail(3)
        breaker.wait(60)
        breaker.fail(1)
        assert breaker.state() is ProviderState.HEALTHY

    def test_failures_within_the_window_stay(self) -> None:
        breaker = self.breaker()
        breaker.fail(3)
        breaker.wait(53.9)
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_successes_leave_the_window_too(self) -> None:
        breaker = self.breaker()
        breaker.work(100)
        breaker.wait(60)
        breaker.fail(3)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_attempts_leave_the_window_one_after_the_other(self) -> None:
        """A failure every 20 seconds is never more than three within a minute."""
        breaker = self.breaker()
        for _ in range(100):
            breaker.wait(20)
            breaker.fail(1)
        assert breaker.state() is ProviderState.HEALTHY

    def test_a_window_of_zero_holds_only_attempts_of_the_same_moment(self) -> None:
        breaker = self.breaker(window=0.0)
        for _ in range(100):
            breaker.wait(1)
            breaker.fail(1)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.wait(1)
        breaker.fail(4)
        assert breaker.state() is ProviderState.COOLING

    @pytest.mark.parametrize("effect", [HealthEffect.ANSWERED, HealthEffect.NONE])
    def test_an_effect_that_does_not_count_is_no_sample(self, effect: HealthEffect) -> None:
        breaker = self.breaker()
        breaker.run(HealthEffect.FAILED, *[effect] * 100, HealthEffect.FAILED, HealthEffect.FAILED)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_a_rate_of_zero_allows_no_failure(self) -> None:
        breaker = self.breaker(error_rate=0.0)
        breaker.work(100)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_a_rate_of_one_is_never_exceeded(self) -> None:
        breaker = self.breaker(error_rate=1.0)
        breaker.fail(100)
        assert breaker.state() is ProviderState.HEALTHY

    def test_the_reason_has_the_share_and_the_last_failure(self) -> None:
        breaker = self.breaker()
        breaker.work(1)
        breaker.fail(2)
        breaker.end(breaker.begin(), HealthEffect.FAILED, reason="MalformedReply: HTML")
        share = "3 of 4 attempts failed within 60 s"
        assert breaker.health.reason == f"{share}, the last one MalformedReply: HTML"


class TestCooling:
    def test_no_attempt_may_call_it_until_the_cooldown_is_over(self) -> None:
        breaker = cooling(cooldown=30.0)
        assert breaker.health.opens_at == breaker.health.until == 1030
        breaker.wait(29.9)
        assert breaker.try_to_begin() is None
        breaker.wait(0.1)
        assert breaker.try_to_begin() is not None

    def test_since_is_when_the_cooldown_began(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.wait(10)
        assert breaker.health.since == 1000

    def test_after_a_cooldown_of_zero_a_probe_may_be_sent_at_once(self) -> None:
        breaker = Breaker(failures=1, cooldown=0.0)
        breaker.fail(1)
        assert breaker.state() is ProviderState.HALF_OPEN
        breaker.probe()
        assert breaker.try_to_begin() is None

    def test_attempts_from_before_the_cooldown_do_not_count(self) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        early, late = breaker.begin(), breaker.begin()
        breaker.fail(1)
        breaker.wait(5)
        for stale, effect in ((early, HealthEffect.FAILED), (late, HealthEffect.WORKED)):
            breaker.end(stale, effect)
            assert breaker.health.until == 1030
            assert breaker.state() is ProviderState.COOLING

    def test_nor_do_they_count_once_it_is_healthy_again(self) -> None:
        breaker = Breaker(failures=2, cooldown=30.0)
        stale = breaker.begin()
        breaker.fail(2)
        breaker.wait(30)
        breaker.run(HealthEffect.WORKED, HealthEffect.FAILED)
        breaker.end(stale, HealthEffect.FAILED)
        assert breaker.state() is ProviderState.HEALTHY


class TestRateLimited:
    """A service that asks for fewer requests gets none for a while."""

    def test_the_cooldown_starts_at_once(self) -> None:
        breaker = Breaker(failures=never, busy_cooldown=2.0)
        breaker.end(breaker.begin(), HealthEffect.RATE_LIMITED, reason="RateLimited: HTTP 429")
        assert breaker.state() is ProviderState.COOLING
        assert breaker.health.until == 1002
        assert breaker.health.reason == "RateLimited: HTTP 429"

    def test_it_takes_as_long_as_the_service_asks_for(self) -> None:
        breaker = Breaker(busy_cooldown=2.0)
        breaker.end(breaker.begin(), HealthEffect.RATE_LIMITED, after=60.0)
        assert breaker.health.until == 1060

    def test_even_if_that_is_shorter_than_busy_cooldown(self) -> None:
        breaker = Breaker(busy_cooldown=2.0)
        breaker.end(breaker.begin(), HealthEffect.RATE_LIMITED, after=0.5)
        assert breaker.health.until == 1000.5

    def test_a_pause_of_zero_is_over_at_once(self) -> None:
        breaker = Breaker(busy_cooldown=2.0)
        breaker.end(breaker.begin(), HealthEffect.RATE_LIMITED, after=0.0)
        assert breaker.health.until == 1000
        assert breaker.try_to_begin() is not None
        breaker = Breaker(busy_cooldown=0.0)
        breaker.end(breaker.begin(), HealthEffect.RATE_LIMITED)
        assert breaker.try_to_begin() is not None

    def test_another_request_for_a_pause_only_lengthens_it(self) -> None:
        breaker = Breaker()
        several = [breaker.begin() for _ in range(4)]
        for permit, after, until in zip(
            several, (10.0, 3.0, 0.0, 20.0), (1010, 1010, 1010, 1020), strict=True
        ):
            breaker.end(permit, HealthEffect.RATE_LIMITED, after=after)
            assert breaker.health.until == until

    def test_it_never_shortens_the_cooldown_after_failures(self) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        short, long = breaker.begin(), breaker.begin()
        breaker.fail(1)
        breaker.end(short, HealthEffect.RATE_LIMITED, after=1.0)
        assert breaker.health.until == 1030
        breaker.end(long, HealthEffect.RATE_LIMITED, after=100.0)
        assert breaker.health.until == 1100

    def test_it_is_not_the_cooldown_after_failures(self) -> None:
        breaker = Breaker(failures=2, busy_cooldown=2.0, cooldown=30.0)
        breaker.run(HealthEffect.FAILED, HealthEffect.RATE_LIMITED)
        assert breaker.health.until == 1002

    def test_a_provider_that_is_out_stays_out(self) -> None:
        breaker = Breaker()
        busy = breaker.begin()
        breaker.end(breaker.begin(), HealthEffect.REFUSED)
        breaker.end(busy, HealthEffect.RATE_LIMITED, after=1.0)
        assert breaker.state() is ProviderState.OUT
        assert breaker.health.opens_at is None


class TestServiceBusy:
    """A service without a free worker works: after its pause all attempts may call it, without a probe."""

    def test_the_cooldown_starts_at_once(self) -> None:
        breaker = Breaker(failures=never, busy_cooldown=2.0)
        breaker.end(breaker.begin(), HealthEffect.SERVICE_BUSY, reason="ServiceBusy: no slot")
        assert breaker.state() is ProviderState.COOLING
        assert (breaker.health.until, breaker.health.reason) == (1002, "ServiceBusy: no slot")
        assert breaker.try_to_begin() is None

    def test_after_the_pause_it_is_healthy_and_every_attempt_may_call_it(self) -> None:
        breaker = Breaker(busy_cooldown=2.0)
        breaker.run(HealthEffect.SERVICE_BUSY)
        breaker.wait(2)
        assert breaker.state() is ProviderState.HEALTHY
        seen = breaker.health.seen_at(breaker.now)
        assert (seen.state, seen.reason, seen.until) == (ProviderState.HEALTHY, None, None)
        assert not any(breaker.begin().is_probe for _ in range(100))

    def test_another_attempt_of_the_same_time_only_lengthens_the_pause(self) -> None:
        breaker = Breaker()
        several = [breaker.begin() for _ in range(3)]
        for permit, after in zip(several, (5.0, 4.0, 6.0), strict=True):
            breaker.end(permit, HealthEffect.SERVICE_BUSY, after=after)
        assert breaker.health.until == 1006
        breaker.wait(6)
        assert breaker.state() is ProviderState.HEALTHY

    def test_if_it_asks_for_fewer_requests_too_a_probe_is_needed(self) -> None:
        breaker = Breaker()
        full, limited = breaker.begin(), breaker.begin()
        breaker.end(full, HealthEffect.SERVICE_BUSY, after=5.0)
        breaker.end(limited, HealthEffect.RATE_LIMITED, after=5.0)
        breaker.wait(5)
        breaker.probe()
        assert breaker.try_to_begin() is None

    @pytest.mark.parametrize("failure", [HealthEffect.LOST, HealthEffect.UNREACHED])
    def test_a_probe_with_this_reply_shows_that_creates_arrive_again(self, failure: HealthEffect) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        breaker.run(failure)
        breaker.wait(30)
        breaker.end(breaker.probe(), HealthEffect.SERVICE_BUSY, after=5.0)
        breaker.wait(5)
        assert breaker.state() is ProviderState.HEALTHY

    def test_after_failed_jobs_a_probe_must_still_be_answered(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.wait(30)
        breaker.end(breaker.probe(), HealthEffect.SERVICE_BUSY, after=5.0)
        breaker.wait(5)
        probe = breaker.probe()
        breaker.created(probe)
        assert breaker.state() is ProviderState.HALF_OPEN
        breaker.end(probe, HealthEffect.WORKED)
        assert breaker.state() is ProviderState.HEALTHY

    def test_it_never_counts_as_a_failure(self) -> None:
        breaker = Breaker(failures=3, busy_cooldown=0.0)
        breaker.run(
            HealthEffect.FAILED,
            HealthEffect.SERVICE_BUSY,
            HealthEffect.FAILED,
            HealthEffect.SERVICE_BUSY,
            HealthEffect.FAILED,
            HealthEffect.SERVICE_BUSY,
        )
        assert breaker.state() is ProviderState.HEALTHY


class TestEarlyProbes:
    """A solve without another provider does not wait for the end of the cooldown."""

    def pauses(self, effect: HealthEffect, number: int, **rules: Any) -> list[float]:
        """The pauses between probes that all fail with this effect, each as early as possible."""
        breaker = Breaker(failures=1, **rules)
        breaker.run(effect)
        pauses: list[float] = []
        for _ in range(number):
            opens = breaker.health.opens_early_at(math.inf)
            assert opens is not None
            pauses.append(opens - breaker.now)
            breaker.now = opens
            permit = breaker.try_to_begin(is_early=True)
            assert permit is not None
            assert permit.is_probe
            assert breaker.try_to_begin(is_early=True) is None
            breaker.end(permit, effect)
        return pauses

    def test_free_probes_have_a_delay_of_at_most_five_seconds(self) -> None:
        assert self.pauses(HealthEffect.UNREACHED, 6, cooldown=30.0) == [1, 2, 4, 5, 5, 5]

    @pytest.mark.parametrize("effect", [HealthEffect.LOST, HealthEffect.FAILED])
    def test_paid_probes_have_a_delay_of_at_most_ten_seconds(self, effect: HealthEffect) -> None:
        assert self.pauses(effect, 6, cooldown=30.0) == [2, 4, 8, 10, 10, 10]

    @pytest.mark.parametrize("effect", [HealthEffect.UNREACHED, HealthEffect.LOST, HealthEffect.FAILED])
    def test_no_delay_is_longer_than_the_cooldown(self, effect: HealthEffect) -> None:
        assert self.pauses(effect, 3, cooldown=0.5) == [0.5, 0.5, 0.5]

    def test_a_solve_with_other_providers_waits_for_the_cooldown(self) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        breaker.run(HealthEffect.UNREACHED)
        breaker.wait(29)
        assert breaker.try_to_begin() is None
        assert breaker.try_to_begin(is_early=True) is not None

    def test_a_solve_that_ends_may_send_a_free_probe_a_second_after_the_last(self) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        breaker.run(HealthEffect.UNREACHED)
        for pause in (1, 2, 4):
            breaker.wait(pause)
            permit = breaker.try_to_begin(is_early=True)
            assert permit is not None
            breaker.end(permit, HealthEffect.UNREACHED)
        assert breaker.health.opens_early_at(math.inf) == breaker.now + 5
        assert breaker.health.opens_early_at(breaker.now + 3) == breaker.now + 3
        assert breaker.health.opens_early_at(breaker.now + 0.5) == breaker.now + 1

    def test_a_solve_that_ends_may_not_send_a_paid_probe_sooner(self) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        breaker.run(HealthEffect.LOST)
        assert breaker.health.opens_early_at(breaker.now) == breaker.now + 2

    @pytest.mark.parametrize("effect", [HealthEffect.UNREACHED, HealthEffect.LOST])
    def test_a_pause_that_the_service_asks_for_delays_the_probe(self, effect: HealthEffect) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        breaker.end(breaker.begin(), effect, after=12.0)
        assert breaker.health.opens_early_at(breaker.now) == breaker.now + 12
        assert breaker.health.until == breaker.now + 30

    def test_but_not_beyond_the_end_of_the_cooldown(self) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        breaker.end(breaker.begin(), HealthEffect.LOST, after=3600.0)
        assert breaker.health.opens_early_at(breaker.now) == breaker.health.until == breaker.now + 30

    @pytest.mark.parametrize("effect", [HealthEffect.RATE_LIMITED, HealthEffect.SERVICE_BUSY])
    def test_no_probe_is_sent_in_a_pause_that_the_service_asks_for(self, effect: HealthEffect) -> None:
        breaker = Breaker()
        breaker.end(breaker.begin(), effect, after=60.0)
        assert breaker.health.opens_early_at(breaker.now) == breaker.now + 60
        breaker.wait(59)
        assert breaker.try_to_begin(is_early=True) is None

    def test_nor_if_it_failed_before(self) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        busy = breaker.begin()
        breaker.run(HealthEffect.UNREACHED)
        breaker.end(busy, HealthEffect.RATE_LIMITED, after=20.0)
        assert breaker.health.opens_early_at(breaker.now) == breaker.now + 20

    def test_a_provider_that_is_out_gets_no_probe(self) -> None:
        breaker = out()
        assert breaker.health.opens_early_at(breaker.now) is None
        assert breaker.try_to_begin(is_early=True) is None

    def test_a_second_probe_waits_for_the_first(self) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        breaker.run(HealthEffect.UNREACHED)
        breaker.wait(5)
        assert breaker.try_to_begin(is_early=True) is not None
        assert breaker.health.opens_early_at(breaker.now) == math.inf


class TestProbe:
    """After a cooldown, one attempt finds out for all others whether the provider works."""

    def test_exactly_one_attempt_is_the_probe(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.wait(30)
        assert breaker.state() is ProviderState.HALF_OPEN
        breaker.probe()
        assert breaker.state() is ProviderState.HALF_OPEN
        breaker.wait(1e9)
        assert breaker.try_to_begin() is None

    def test_during_the_probe_it_is_unknown_when_the_others_may_call(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.wait(30)
        breaker.probe()
        assert breaker.health.opens_at == math.inf
        assert breaker.health.until is None

    def test_during_the_probe_reason_and_since_stay(self) -> None:
        breaker = cooling(cooldown=30.0)
        reason = breaker.health.reason
        breaker.wait(50)
        breaker.probe()
        assert (breaker.health.reason, breaker.health.since) == (reason, 1000)

    @pytest.mark.parametrize("effect", [HealthEffect.WORKED, HealthEffect.ANSWERED])
    def test_a_probe_that_is_answered_ends_the_cooldown(self, effect: HealthEffect) -> None:
        """Even if its job failed in the ordinary way, because the service works."""
        breaker = cooling(cooldown=30.0)
        breaker.wait(30)
        breaker.run(effect)
        assert breaker.state() is ProviderState.HEALTHY
        assert (breaker.health.reason, breaker.health.since, breaker.health.until) == (None, 1030, None)
        assert not breaker.begin().is_probe

    def test_a_probe_that_fails_starts_another_cooldown(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.wait(40)
        breaker.end(breaker.probe(), HealthEffect.FAILED, reason="ServiceUnavailable: no route to host")
        assert (breaker.health.since, breaker.health.until) == (1040, 1070)
        assert breaker.health.reason == "ServiceUnavailable: no route to host"

    def test_a_single_failure_of_a_probe_is_enough(self) -> None:
        breaker = Breaker(failures=5, cooldown=30.0)
        breaker.fail(5)
        breaker.wait(30)
        breaker.fail(1)
        assert breaker.state() is ProviderState.COOLING

    def test_after_a_probe_without_a_result_the_next_attempt_is_the_probe(self) -> None:
        """It was cancelled, or the task was the caller's mistake."""
        breaker = cooling(cooldown=30.0)
        reason = breaker.health.reason
        breaker.wait(30)
        breaker.end(breaker.probe(), HealthEffect.NONE)
        assert breaker.state() is ProviderState.HALF_OPEN
        assert (breaker.health.reason, breaker.health.since) == (reason, 1000)
        breaker.probe()
        assert breaker.try_to_begin() is None

    def test_a_probe_that_is_rate_limited_starts_the_pause_that_the_service_asks_for(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.wait(30)
        breaker.end(breaker.probe(), HealthEffect.RATE_LIMITED, after=5.0)
        assert breaker.health.until == 1035

    def test_a_probe_that_finds_the_account_refused_takes_the_provider_out(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.wait(30)
        breaker.run(HealthEffect.REFUSED)
        assert breaker.state() is ProviderState.OUT

    def test_earlier_attempts_do_not_end_the_probe(self) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        stale = [breaker.begin() for _ in range(3)]
        breaker.fail(1)
        breaker.wait(30)
        probe = breaker.probe()
        for permit, effect in zip(
            stale, (HealthEffect.WORKED, HealthEffect.FAILED, HealthEffect.NONE), strict=True
        ):
            breaker.end(permit, effect)
            assert breaker.try_to_begin() is None
        breaker.end(probe, HealthEffect.WORKED)
        assert breaker.state() is ProviderState.HEALTHY

    def test_an_earlier_attempt_that_is_rate_limited_allows_no_second_probe(self) -> None:
        """The result of the probe will be newer."""
        breaker = Breaker(failures=1, cooldown=30.0)
        stale = breaker.begin()
        breaker.fail(1)
        breaker.wait(30)
        probe = breaker.probe()
        breaker.end(stale, HealthEffect.RATE_LIMITED, after=1.0)
        breaker.wait(1)
        assert breaker.try_to_begin() is None
        breaker.end(probe, HealthEffect.WORKED)
        assert breaker.state() is ProviderState.HEALTHY

    def test_a_probe_from_before_a_revival_does_not_count(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.wait(30)
        probe = breaker.probe()
        breaker.revive()
        breaker.end(probe, HealthEffect.FAILED)
        assert breaker.state() is ProviderState.HEALTHY


class TestCreated:
    """A created job shows that creates work again, which is enough unless jobs failed."""

    def rate_limited(self, **rules: Any) -> Breaker:
        breaker = Breaker(busy_cooldown=2.0, **rules)
        breaker.run(HealthEffect.RATE_LIMITED)
        return breaker

    def test_it_ends_the_cooldown_after_a_rate_limit(self) -> None:
        breaker = self.rate_limited()
        breaker.wait(2)
        breaker.created(breaker.probe())
        assert breaker.state() is ProviderState.HEALTHY
        assert not breaker.begin().is_probe

    @pytest.mark.parametrize("failure", [HealthEffect.LOST, HealthEffect.UNREACHED])
    def test_it_ends_the_cooldown_after_failed_creates(self, failure: HealthEffect) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        breaker.run(failure)
        breaker.wait(30)
        breaker.created(breaker.probe())
        assert breaker.state() is ProviderState.HEALTHY

    def test_it_does_not_end_the_cooldown_after_failed_jobs(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.wait(30)
        breaker.created(breaker.probe())
        assert breaker.state() is ProviderState.HALF_OPEN
        assert breaker.try_to_begin() is None

    def test_nor_if_it_was_rate_limited_too(self) -> None:
        breaker = Breaker(failures=1, cooldown=30.0)
        busy = breaker.begin()
        breaker.fail(1)
        breaker.end(busy, HealthEffect.RATE_LIMITED, after=60.0)
        breaker.wait(60)
        breaker.created(breaker.probe())
        assert breaker.state() is ProviderState.HALF_OPEN

    def test_nor_if_a_probe_was_rate_limited(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.wait(30)
        breaker.end(breaker.probe(), HealthEffect.RATE_LIMITED, after=5.0)
        breaker.wait(5)
        breaker.created(breaker.probe())
        assert breaker.state() is ProviderState.HALF_OPEN

    def test_nor_if_the_probe_after_a_rate_limit_failed(self) -> None:
        breaker = self.rate_limited(cooldown=30.0)
        breaker.wait(2)
        breaker.fail(1)
        breaker.wait(30)
        breaker.created(breaker.probe())
        assert breaker.state() is ProviderState.HALF_OPEN

    def test_it_ends_the_cooldown_after_several_rate_limits(self) -> None:
        breaker = self.rate_limited()
        for _ in range(3):
            breaker.wait(2)
            breaker.run(HealthEffect.RATE_LIMITED)
        breaker.wait(2)
        breaker.created(breaker.probe())
        assert breaker.state() is ProviderState.HEALTHY

    def test_it_ends_the_cooldown_after_a_probe_without_a_result(self) -> None:
        breaker = self.rate_limited()
        breaker.wait(2)
        breaker.run(HealthEffect.NONE)
        breaker.created(breaker.probe())
        assert breaker.state() is ProviderState.HEALTHY

    def test_only_the_job_of_the_probe_does(self) -> None:
        breaker = Breaker(busy_cooldown=2.0)
        stale = breaker.begin()
        breaker.run(HealthEffect.RATE_LIMITED)
        breaker.created(stale)
        assert breaker.state() is ProviderState.COOLING
        breaker.wait(2)
        breaker.probe()
        breaker.created(stale)
        assert breaker.state() is ProviderState.HALF_OPEN

    def test_the_job_of_a_probe_from_before_a_revival_does_not(self) -> None:
        breaker = self.rate_limited()
        breaker.wait(2)
        probe = breaker.probe()
        breaker.revive()
        breaker.run(HealthEffect.RATE_LIMITED)
        breaker.created(probe)
        assert breaker.state() is ProviderState.COOLING

    def test_the_end_of_that_job_does_not_count(self) -> None:
        breaker = self.rate_limited(failures=1)
        breaker.wait(2)
        probe = breaker.probe()
        breaker.created(probe)
        breaker.end(probe, HealthEffect.FAILED)
        assert breaker.state() is ProviderState.HEALTHY

    def test_it_does_not_change_a_healthy_provider(self) -> None:
        breaker = Breaker()
        permit = breaker.begin()
        before = breaker.health
        breaker.created(permit)
        assert breaker.health == before

    def test_it_does_not_bring_back_a_provider_that_is_out(self) -> None:
        breaker = self.rate_limited()
        breaker.wait(2)
        probe = breaker.probe()
        breaker.end(probe, HealthEffect.REFUSED)
        breaker.created(probe)
        assert breaker.state() is ProviderState.OUT


class TestOut:
    """The account is refused or empty, and waiting does not change that."""

    def test_the_first_refusal_takes_the_provider_out(self) -> None:
        breaker = out(failures=never, error_rate=never)
        assert (breaker.health.reason, breaker.health.since) == ("the token is wrong", 1000)
        assert breaker.health.until is None

    def test_waiting_does_not_help(self) -> None:
        breaker = out()
        assert breaker.health.opens_at is None
        breaker.wait(1e9)
        assert breaker.try_to_begin() is None
        assert breaker.state() is ProviderState.OUT

    def test_a_revival_helps(self) -> None:
        breaker = out()
        breaker.revive()
        assert breaker.state() is ProviderState.HEALTHY
        assert not breaker.begin().is_probe

    @pytest.mark.parametrize("effect", list(HealthEffect))
    def test_the_end_of_an_earlier_attempt_does_not_help(self, effect: HealthEffect) -> None:
        breaker = Breaker()
        stale = breaker.begin()
        breaker.run(HealthEffect.REFUSED)
        before = breaker.health
        breaker.wait(5)
        breaker.end(stale, effect, reason="another")
        assert breaker.health == before

    def test_a_refusal_counts_even_if_the_attempt_began_before_a_cooldown(self) -> None:
        breaker = Breaker(failures=1)
        stale = breaker.begin()
        breaker.fail(1)
        breaker.end(stale, HealthEffect.REFUSED)
        assert breaker.state() is ProviderState.OUT

    def test_a_refusal_from_before_a_revival_does_not_count(self) -> None:
        """The account has been fixed since."""
        breaker = Breaker()
        first, second, third = (breaker.begin() for _ in range(3))
        breaker.end(first, HealthEffect.REFUSED)
        breaker.revive()
        breaker.end(second, HealthEffect.REFUSED)
        assert breaker.state() is ProviderState.HEALTHY
        breaker.revive()
        breaker.end(third, HealthEffect.REFUSED)
        assert breaker.state() is ProviderState.HEALTHY

    def test_a_refusal_after_a_revival_counts(self) -> None:
        breaker = out()
        breaker.revive()
        breaker.run(HealthEffect.REFUSED)
        assert breaker.state() is ProviderState.OUT


class TestRevival:
    def test_it_ends_a_cooldown(self) -> None:
        breaker = cooling(cooldown=30.0)
        breaker.revive()
        assert breaker.state() is ProviderState.HEALTHY
        assert not breaker.begin().is_probe

    def test_it_starts_the_counts_again(self) -> None:
        breaker = Breaker(failures=never, error_rate=0.5, min_samples=4)
        breaker.fail(3)
        breaker.revive()
        breaker.fail(3)
        assert breaker.state() is ProviderState.HEALTHY

    def test_failures_from_before_it_do_not_count(self) -> None:
        breaker = Breaker(failures=1)
        stale = breaker.begin()
        breaker.revive()
        breaker.end(stale, HealthEffect.FAILED)
        assert breaker.state() is ProviderState.HEALTHY


class TestWhatDoesNotCount:
    @pytest.mark.parametrize("mistake", [TaskError("no picture"), TaskRefused("a bad picture")])
    def test_the_callers_mistakes(self, mistake: TaskError) -> None:
        breaker = Breaker(failures=1, error_rate=0.0, min_samples=1)
        before = breaker.health
        breaker.run(*[row_for(mistake).health] * 1000)
        assert breaker.health == before

    def test_cancelled_attempts(self) -> None:
        breaker = Breaker(failures=1, error_rate=0.0, min_samples=1)
        before = breaker.health
        breaker.run(*[HealthEffect.NONE] * 1000)
        assert breaker.health == before


@attrs.define
class Cooldown:
    """A time in which no attempt may call, or only a solve without another provider.

    ``proof`` is what ends it: 0 for time alone, 1 for a created job, 2 for an answer.
    """

    until: float
    proof: int
    earliest: float = never


@attrs.frozen(eq=False)
class Ongoing:
    """An attempt, and how things stood when it began."""

    permit: HealthPermit
    state_number: int
    revivals: int


class Model:
    """How the health should be, found from a list of all its states: nothing is counted or forgotten.

    A state is HEALTHY, OUT, a cooldown, or the probe that follows it.
    """

    def __init__(self, rules: HealthSettings) -> None:
        self.rules = rules
        self.states: list[ProviderState | Cooldown | Ongoing] = [ProviderState.HEALTHY]
        self.revivals = 0
        self.had_no_result: list[ProviderState | Cooldown | Ongoing] = []
        self.ends: list[tuple[int, float, bool]] = []
        """Every attempt that counted: the number of its state, when it ended, and whether it failed."""

    def state(self, now: float) -> ProviderState:
        match self.states[-1]:
            case Cooldown(until, proof):
                due = ProviderState.HALF_OPEN if proof else ProviderState.HEALTHY
                return ProviderState.COOLING if now < until else due
            case Ongoing():
                return ProviderState.HALF_OPEN
            case state:
                return state

    def may_call(self, now: float, *, is_early: bool) -> bool:
        last = self.states[-1]
        if isinstance(last, Cooldown):
            return now >= (min(last.until, last.earliest) if is_early else last.until)
        return last is ProviderState.HEALTHY

    def see(self, now: float) -> None:
        """A provider that was only busy is healthy once its pause is over."""
        if isinstance(self.states[-1], Cooldown) and self.state(now) is ProviderState.HEALTHY:
            self.states.append(ProviderState.HEALTHY)

    def try_to_begin(self, attempt: Ongoing) -> bool:
        """Return whether this attempt is a probe."""
        is_probe = isinstance(self.states[-1], Cooldown)
        if is_probe:
            self.states.append(attempt)
        return is_probe

    def proof(self) -> int:
        """Return what ends the cooldowns since it was healthy last."""
        since = len(self.states) - self.states[::-1].index(ProviderState.HEALTHY)
        return next((one.proof for one in self.states[: since - 1 : -1] if isinstance(one, Cooldown)), 0)

    def created(self, attempt: Ongoing) -> None:
        if self.states[-1] is attempt and self.proof() < 2:
            self.states.append(ProviderState.HEALTHY)

    def revive(self) -> None:
        self.revivals += 1
        self.states.append(ProviderState.HEALTHY)

    def end(self, attempt: Ongoing, effect: HealthEffect, now: float, retry_after: float | None) -> None:
        last = self.states[-1]
        if last is ProviderState.OUT:
            return
        if effect is HealthEffect.REFUSED:
            if attempt.revivals == self.revivals:
                self.states.append(ProviderState.OUT)
        elif effect in (HealthEffect.RATE_LIMITED, HealthEffect.SERVICE_BUSY):
            pause = self.rules.busy_cooldown if retry_after is None else retry_after
            self._paused(attempt, now + pause, int(effect is HealthEffect.RATE_LIMITED))
        elif last is attempt:
            self._probed(effect, now, retry_after)
        elif last is ProviderState.HEALTHY and attempt.state_number == len(self.states):
            self._counted(effect, now, retry_after)

    def _paused(self, attempt: Ongoing, until: float, proof: int) -> None:
        last = self.states[-1]
        if isinstance(last, Cooldown):
            last.until, last.proof = max(last.until, until), max(last.proof, proof)
            last.earliest = max(last.earliest, until)
        elif last is ProviderState.HEALTHY or last is attempt:
            self.states.append(Cooldown(until, 2 if self.proof() == 2 else proof))

    def _failed(self, effect: HealthEffect, now: float, retry_after: float | None) -> None:
        probes = self.failed_probes()
        free = effect is HealthEffect.UNREACHED
        pause = 1.0 if free else min(2.0 * 2.0**probes, 10.0)
        earliest = now + min(max(pause, retry_after or 0), self.rules.cooldown)
        proof = max(self.proof(), 2 if effect is HealthEffect.FAILED else 1)
        self.states.append(Cooldown(now + self.rules.cooldown, proof, earliest))

    def failed_probes(self) -> int:
        """Return how many there were since a pause that it asked for, or since it was healthy last."""
        number = 0
        for one in reversed(self.states):
            if one is ProviderState.HEALTHY or (isinstance(one, Cooldown) and one.earliest == never):
                break
            number += isinstance(one, Ongoing) and one not in self.had_no_result
        return number

    def _probed(self, effect: HealthEffect, now: float, retry_after: float | None) -> None:
        if effect in (HealthEffect.WORKED, HealthEffect.ANSWERED):
            self.states.append(ProviderState.HEALTHY)
        elif effect in FAILURES:
            self._failed(effect, now, retry_after)
        else:
            before = self.states[-2]
            assert isinstance(before, Cooldown)
            self.had_no_result.append(self.states[-1])
            self.states.append(Cooldown(now, before.proof, before.earliest))

    def _counted(self, effect: HealthEffect, now: float, retry_after: float | None) -> None:
        failed = effect in FAILURES
        if failed or effect is HealthEffect.WORKED:
            self.ends.append((len(self.states), now, failed))
        if failed and (self._too_many_in_a_row() or self._too_many_recently(now)):
            self._failed(effect, now, retry_after)

    def _too_many_in_a_row(self) -> bool:
        failed = [failed for state_number, _, failed in self.ends if state_number == len(self.states)]
        return len(list(takewhile(bool, reversed(failed)))) >= self.rules.failures

    def _too_many_recently(self, now: float) -> bool:
        late = [
            failed
            for state_number, ended, failed in self.ends
            if state_number == len(self.states) and ended > now - self.rules.window
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
    """Attempts begin and end in any order, while time passes; the health is always that of the model."""

    running = Bundle("running")

    @initialize(rules=rules_of_health, now=few)
    def begin(self, rules: HealthSettings, now: float) -> None:
        self.now = now
        self.model = Model(rules)
        self.health = Health(rules)
        # What follows is counted from outside, without the model.
        self.probes_running: set[Ongoing] = set()
        self.probes = 0
        self.cooldowns = 0

    def become(self, health: Health, *, has_no_result: bool = False) -> None:
        began_to_cool = (
            health.state is ProviderState.COOLING and self.health.state is not ProviderState.COOLING
        )
        self.cooldowns += began_to_cool and not has_no_result
        self.health = health

    @rule(seconds=few)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.health.state is ProviderState.COOLING)
    @rule(before=st.sampled_from([0.0, 1.0]))
    def its_cooldown_passes(self, before: float) -> None:
        """To its end, or to the second before."""
        assert self.health.until is not None
        self.now = max(self.now, self.health.until - before)

    @precondition(lambda self: self.health.state is ProviderState.COOLING)
    @rule()
    def its_first_early_probe_is_due(self) -> None:
        opens_at = self.health.opens_early_at(-math.inf)
        assert opens_at is not None
        self.now = max(self.now, opens_at)

    @rule(target=running, many=st.integers(1, 3), is_early=st.booleans())
    def attempts_begin(self, many: int, is_early: bool) -> Any:
        begun = [self.try_to_begin(is_early=is_early) for _ in range(many)]
        return multiple(*(attempt for attempt in begun if attempt is not None))

    @rule(attempt=running)
    def its_job_is_created(self, attempt: Ongoing) -> None:
        self.become(self.health.created(attempt.permit, self.now))
        self.model.created(attempt)
        if self.health.state is ProviderState.HEALTHY:
            self.probes_running.discard(attempt)

    @rule(attempt=consumes(running), effect=st.sampled_from(HealthEffect), retry_after=st.none() | few)
    def an_attempt_ends(self, attempt: Ongoing, effect: HealthEffect, retry_after: float | None) -> None:
        was_out = self.health.state is ProviderState.OUT
        has_no_result = attempt in self.probes_running and effect is HealthEffect.NONE
        after = self.health.after(
            attempt.permit, effect, self.now, reason="it broke", retry_after=retry_after
        )
        self.become(after, has_no_result=has_no_result)
        self.model.end(attempt, effect, self.now, retry_after)
        assert not was_out or self.health.state is ProviderState.OUT
        self.probes -= has_no_result
        self.probes_running.discard(attempt)

    @rule(
        attempts=st.lists(st.tuples(st.sampled_from([0.0, 0.0, 1.0, 5.0]), effects), min_size=3, max_size=12)
    )
    def attempts_come_and_go(self, attempts: list[tuple[float, HealthEffect]]) -> None:
        """One after the other, while earlier ones are still running."""
        for wait, effect in attempts:
            self.now += wait
            if (attempt := self.try_to_begin()) is not None:
                self.an_attempt_ends(attempt, effect, None)
                self.it_is_as_the_model_says()

    @rule(is_needed=st.sampled_from([True, True, True, False]))
    def it_is_revived(self, is_needed: bool) -> None:
        """Because it is out, or for no reason."""
        if is_needed and self.health.state is not ProviderState.OUT:
            return
        self.become(self.health.revived(self.now))
        self.model.revive()
        # A probe that is running now finds out nothing any more.
        self.probes_running.clear()

    def try_to_begin(self, *, is_early: bool = False) -> Ongoing | None:
        opens_at = self.health.opens_early_at(-math.inf) if is_early else self.health.opens_at
        until = self.health.until
        health, permit = self.health.admit(self.now, is_early=is_early)
        self.become(health)
        assert (permit is not None) == self.model.may_call(self.now, is_early=is_early)
        assert (permit is not None) == (opens_at is not None and opens_at <= self.now)
        if permit is None:
            return None
        assert is_early or until is None or until <= self.now
        self.model.see(self.now)
        attempt = Ongoing(permit, len(self.model.states), self.model.revivals)
        assert permit.is_probe == self.model.try_to_begin(attempt)
        if permit.is_probe:
            self.probes += 1
            self.probes_running.add(attempt)
        return attempt

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        assert self.health.state_at(self.now) is self.model.state(self.now)

    @invariant()
    def at_most_one_probe_is_running(self) -> None:
        assert len(self.probes_running) <= 1

    @invariant()
    def every_probe_has_a_cooldown_of_its_own(self) -> None:
        """Except for those without a result."""
        assert self.probes <= self.cooldowns

    @invariant()
    def its_facts_are_consistent(self) -> None:
        health, state = self.health.seen_at(self.now), self.health.state_at(self.now)
        assert (health.reason is None) == (state is ProviderState.HEALTHY)
        assert (health.until is not None) == (health.state is ProviderState.COOLING)
        assert (health.opens_at is None) == (state is ProviderState.OUT)
        assert health.since is None or health.since <= self.now


HealthMachine.TestCase.settings = settings(stateful_step_count=50)
TestHealthMachine = HealthMachine.TestCase
