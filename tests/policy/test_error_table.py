"""What each class of error means for the next provider, for health, for the job and for a poll."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import (
    AllProvidersFailed,
    AmbiguousCreate,
    Attempt,
    AuthenticationError,
    BudgetExceeded,
    CaptchaHubError,
    ConfigError,
    HubClosed,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    JobUnknown,
    JournalError,
    MalformedReply,
    NotAsked,
    NotOffered,
    Outvoted,
    Overtaken,
    PluginFault,
    PriceUnknown,
    ProviderError,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    SolveCancelled,
    SolveTimeout,
    TaskError,
    TaskRefused,
    TemporarilyBlocked,
    UnsupportedTask,
    WrongSolution,
    errors,
)
from captchahub._policy.error_table import (
    TABLE,
    HealthEffect,
    Then,
    blames_provider,
    row_for,
)
from captchahub._policy.fallback import blocking_rules, next_step
from captchahub.jobs import JobState
from captchahub.settings import Otherwise, RouteSettings

FAILED_ATTEMPTS = [Attempt("omo", 1.0, error=JobTimeout("late"))]

STOP, NEXT, LATER, RETRY = Then
NONE, ANSWERED, FAILED = HealthEffect.NONE, HealthEffect.ANSWERED, HealthEffect.FAILED
RATE_LIMITED, UNREACHED, OUT = HealthEffect.RATE_LIMITED, HealthEffect.UNREACHED, HealthEffect.REFUSED
J = JobState


class OwnRateLimit(RateLimited):
    """An error class of a plugin."""


# fmt: off
EXPECTED: list[tuple[Exception, Then, HealthEffect, JobState | None, JobState, bool, bool, bool]] = [
    # error, then, health, job with an id, job without one, poll again, of every call, of plugins
    (TaskRefused("bad"), STOP, NONE, None, J.REFUSED, False, False, True),
    (AuthenticationError("401"), NEXT, OUT, None, J.REFUSED, True, True, True),
    (InsufficientBalance("0"), NEXT, OUT, None, J.REFUSED, True, True, True),
    (RateLimited("429"), LATER, RATE_LIMITED, None, J.REFUSED, True, True, True),
    (RateLimited("429", retry_after=60), LATER, RATE_LIMITED, None, J.REFUSED, True, True, True),
    (OwnRateLimit("429"), LATER, RATE_LIMITED, None, J.REFUSED, True, True, True),
    (TemporarilyBlocked("ban"), LATER, RATE_LIMITED, None, J.REFUSED, True, True, True),
    (ServiceBusy("full"), LATER, HealthEffect.SERVICE_BUSY, None, J.REFUSED, True, True, True),
    (ServiceUnavailable("", nothing_created=True), LATER, UNREACHED, None, J.NOT_SENT, True, True, True),
    (ServiceUnavailable("reset"), NEXT, FAILED, None, J.AMBIGUOUS, True, True, True),
    (JobFailed("no answer"), NEXT, ANSWERED, J.FAILED, J.FAILED, False, False, True),
    (JobUnknown("no such job"), NEXT, ANSWERED, J.EXPIRED, J.FAILED, False, False, True),
    (WrongSolution("short"), NEXT, ANSWERED, J.FAILED, J.FAILED, False, False, True),
    (JobRefused("no"), NEXT, ANSWERED, None, J.REFUSED, True, False, True),
    (JobTimeout("late"), NEXT, FAILED, None, J.AMBIGUOUS, False, False, True),
    (AmbiguousCreate("no id"), NEXT, HealthEffect.LOST, None, J.AMBIGUOUS, False, False, True),
    (MalformedReply("HTML"), NEXT, FAILED, None, J.AMBIGUOUS, True, True, True),
    (PluginFault("KeyError"), NEXT, FAILED, J.FAILED, J.AMBIGUOUS, True, True, True),
    (UnsupportedTask("no slides"), NEXT, NONE, None, J.REFUSED, False, False, True),
    (Outvoted("other"), NEXT, NONE, None, J.AMBIGUOUS, False, False, False),
    (Overtaken("faster"), NEXT, NONE, None, J.AMBIGUOUS, False, False, False),
    (NotAsked("full"), LATER, NONE, None, J.AMBIGUOUS, False, False, False),
    (BudgetExceeded("spent"), NEXT, NONE, None, J.AMBIGUOUS, False, False, False),
    (PriceUnknown("none"), NEXT, NONE, None, J.AMBIGUOUS, False, False, False),
    (JournalError("full disk"), STOP, NONE, None, J.AMBIGUOUS, False, False, False),
    (ProviderError("other"), NEXT, NONE, None, J.AMBIGUOUS, False, False, True),
    # These never are the end of a job.
    (TaskError("bad"), STOP, NONE, None, J.AMBIGUOUS, False, False, True),
    (ConfigError("wrong"), STOP, NONE, None, J.AMBIGUOUS, False, False, True),
    (NotOffered("no"), STOP, NONE, None, J.AMBIGUOUS, False, False, True),
    (HubClosed(), STOP, NONE, None, J.AMBIGUOUS, False, False, True),
    (SolveCancelled("cancelled"), STOP, NONE, None, J.AMBIGUOUS, False, False, True),
    (AllProvidersFailed("none", FAILED_ATTEMPTS), STOP, NONE, None, J.AMBIGUOUS, False, False, True),
    (SolveTimeout("late", FAILED_ATTEMPTS), STOP, NONE, None, J.AMBIGUOUS, False, False, True),
    (CaptchaHubError("other"), STOP, NONE, None, J.AMBIGUOUS, False, False, True),
    (ValueError("not one of ours"), STOP, NONE, None, J.AMBIGUOUS, False, False, True),
]
# fmt: on


class TestTheTable:
    @pytest.mark.parametrize("expected", EXPECTED, ids=lambda expected: type(expected[0]).__name__)
    def test_each_error_means_what_the_table_says(
        self, expected: tuple[Exception, Then, HealthEffect, JobState | None, JobState, bool, bool, bool]
    ) -> None:
        error, then, health, with_job, without_job, poll_goes_on, of_every_call, of_plugins = expected
        row = row_for(error)
        assert row.then is then
        assert row.health is health
        assert row.job_state(has_job=True) is with_job
        assert row.job_state(has_job=False) is without_job
        assert row.poll_goes_on is poll_goes_on
        assert row.of_every_call is of_every_call
        assert row.of_plugins is of_plugins

    def test_no_error_is_left_out(self) -> None:
        every = {
            kind
            for _, kind in inspect.getmembers(errors, inspect.isclass)
            if issubclass(kind, CaptchaHubError)
        }
        assert {type(error) for error, *_ in EXPECTED} - {OwnRateLimit, ValueError} == every

    def test_each_error_of_a_provider_has_a_row_of_its_own(self) -> None:
        every = {
            kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ProviderError)
        }
        assert {row.error for row in TABLE} - {Exception} == every

    def test_every_row_can_be_reached(self) -> None:
        """A row below that of its base class would never count."""
        assert {row_for(error) for error, *_ in EXPECTED} == set(TABLE)

    def test_a_job_that_may_exist_is_never_created_again(self) -> None:
        for error in (
            AmbiguousCreate("lost"),
            ServiceUnavailable("lost"),
            MalformedReply("lost"),
            JobTimeout("late"),
        ):
            assert row_for(error).then is not LATER

    def test_retry_is_for_the_route_to_say(self) -> None:
        assert RETRY not in {row.then for row in TABLE}


OF_PROVIDERS = [
    (error, then)
    for error, then, *_ in EXPECTED
    if isinstance(error, ProviderError) and not isinstance(error, TaskError)
]
MISTAKES = [error for error, then, *_ in EXPECTED if then is STOP]

ANY_ROUTE = RouteSettings(())

routes = st.builds(
    RouteSettings,
    groups=st.just([{name: 1.0} for name in "abcd"]),
    fallback_on=st.just((ProviderError,))
    | st.lists(st.sampled_from([type(error) for error, _ in OF_PROVIDERS]), unique=True).map(tuple),
    on_ambiguous=st.sampled_from(Otherwise),
    on_timeout=st.sampled_from(Otherwise),
)


class TestNextStep:
    @pytest.mark.parametrize(("error", "then"), [(error, then) for error, then, *_ in EXPECTED])
    def test_a_route_without_rules_does_what_the_table_says(self, error: Exception, then: Then) -> None:
        assert next_step(error, ANY_ROUTE) is then

    def test_only_the_errors_of_fallback_on_allow_the_next_provider(self) -> None:
        route = RouteSettings((), fallback_on=(JobFailed, RateLimited))
        assert next_step(JobFailed("no answer"), route) is NEXT
        assert next_step(WrongSolution("too short"), route) is STOP
        assert next_step(AuthenticationError("401"), route) is STOP

    def test_a_class_in_fallback_on_includes_its_subclasses(self) -> None:
        assert next_step(JobUnknown("gone"), RouteSettings((), fallback_on=(JobFailed,))) is NEXT
        assert next_step(JobFailed("no"), RouteSettings((), fallback_on=(JobUnknown,))) is STOP

    @pytest.mark.parametrize(
        "error", [RateLimited("429"), ServiceUnavailable("refused", nothing_created=True)]
    )
    def test_if_waiting_helps_the_same_provider_is_still_called_again(self, error: ProviderError) -> None:
        assert next_step(error, RouteSettings((), fallback_on=(JobFailed,))) is RETRY
        assert next_step(error, RouteSettings((), fallback_on=())) is RETRY

    def test_a_provider_that_was_not_called_did_not_fail_so_the_others_are_called(self) -> None:
        assert next_step(NotAsked("full"), RouteSettings((), fallback_on=())) is LATER
        assert next_step(BudgetExceeded("spent"), RouteSettings((), fallback_on=())) is NEXT

    def test_an_ambiguous_create_can_end_the_solve(self) -> None:
        route = RouteSettings((), on_ambiguous=Otherwise.FAIL)
        assert next_step(AmbiguousCreate("no job id"), route) is STOP
        assert next_step(JobTimeout("too late"), route) is NEXT

    def test_a_job_that_took_too_long_can_end_the_solve(self) -> None:
        route = RouteSettings((), on_timeout=Otherwise.FAIL)
        assert next_step(JobTimeout("too late"), route) is STOP
        assert next_step(AmbiguousCreate("no job id"), route) is NEXT

    def test_a_job_with_an_id_is_never_created_again(self) -> None:
        """Even if a plugin says of a poll what is meant for a create."""
        assert next_step(RateLimited("429"), ANY_ROUTE, has_job=True) is NEXT
        assert next_step(RateLimited("429"), RouteSettings((), fallback_on=()), has_job=True) is STOP

    @given(routes, st.sampled_from(MISTAKES))
    def test_the_callers_mistake_ends_the_solve_on_every_route(
        self, route: RouteSettings, error: Exception
    ) -> None:
        assert next_step(error, route) is STOP

    @given(routes, st.sampled_from(OF_PROVIDERS))
    def test_a_route_only_ever_excludes_the_other_providers(
        self, route: RouteSettings, row: tuple[ProviderError, Then]
    ) -> None:
        error, then = row
        without_others = {NEXT: STOP, LATER: RETRY}.get(then, then)
        assert next_step(error, route) in (then, without_others)

    @given(routes)
    def test_no_route_creates_a_job_again_that_may_exist(self, route: RouteSettings) -> None:
        for error in (AmbiguousCreate("lost"), ServiceUnavailable("lost"), JobTimeout("late")):
            assert next_step(error, route) in (NEXT, STOP)


class TestBlockingRules:
    def test_each_key_of_the_route_that_does_not_allow_the_next_provider_is_named(self) -> None:
        route = RouteSettings((), fallback_on=(), on_ambiguous=Otherwise.FAIL, on_timeout=Otherwise.FAIL)
        assert blocking_rules(AmbiguousCreate("lost"), route) == ["on_ambiguous", "fallback_on"]
        assert blocking_rules(JobTimeout("late"), route) == ["on_timeout", "fallback_on"]
        assert blocking_rules(JobFailed("no"), route) == ["fallback_on"]

    def test_a_route_without_rules_blocks_nothing(self) -> None:
        assert blocking_rules(JobFailed("no"), ANY_ROUTE) == []


class TestBlamesProvider:
    """An attempt that had too little time says nothing about the provider when it fails."""

    @pytest.mark.parametrize(("allowed", "blamed"), [(60.0, True), (59.9, False), (90.0, True)])
    def test_a_timeout_counts_if_the_job_had_the_typical_time(self, allowed: float, blamed: bool) -> None:
        assert blames_provider(JobTimeout("late"), allowed=allowed, took=allowed, typical=60.0) is blamed

    def test_a_timeout_that_is_found_early_does_not_count(self) -> None:
        """The last poll comes a moment before the time is up."""
        assert not blames_provider(JobTimeout("late"), allowed=10.0, took=8.0, typical=60.0)

    def test_a_typical_time_of_zero_is_always_allowed(self) -> None:
        assert blames_provider(JobTimeout("late"), allowed=0.5, took=0.5, typical=0.0)

    @pytest.mark.parametrize("allowed", [0.1, 1.0, 2.0, 60.0])
    def test_an_error_before_the_time_was_up_counts(self, allowed: float) -> None:
        error = ServiceUnavailable("refused")
        assert blames_provider(error, allowed=allowed, took=allowed / 4, typical=60.0)

    def test_an_error_because_the_time_was_up_counts_if_that_was_two_seconds(self) -> None:
        error = AmbiguousCreate("no reply")
        assert blames_provider(error, allowed=2.0, took=2.0, typical=60.0)
        assert not blames_provider(error, allowed=1.9, took=1.9, typical=60.0)
        assert not blames_provider(error, allowed=1.0, took=0.97, typical=60.0)
