"""Whom to ask, and what an error allows: the table of the design, row by row."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import (
    AllProvidersFailed,
    AmbiguousCreate,
    AuthenticationError,
    CaptchaHubError,
    ConfigError,
    HubClosed,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    JobUnknown,
    MalformedReply,
    NotOffered,
    PluginFault,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
    SolveCancelled,
    SolveTimeout,
    TaskError,
    TaskRefused,
    UnsupportedTask,
    WrongSolution,
    errors,
)
from captchahub._routing import Next, backoff, order, what_next

TEXT, SLIDE = "image-to-text", "phone-slide"
OFFERS = {"omo": frozenset({TEXT, SLIDE}), "reader": frozenset({TEXT}), "slider": frozenset({SLIDE})}


class TestOrder:
    def test_a_route_is_kept(self) -> None:
        assert order(TEXT, {TEXT: ["reader", "omo"]}, OFFERS) == ("reader", "omo")

    def test_without_one_all_that_offer_the_task_are_asked_in_the_order_of_the_file(self) -> None:
        assert order(TEXT, {}, OFFERS) == ("omo", "reader")
        assert order(SLIDE, {TEXT: ["reader"]}, OFFERS) == ("omo", "slider")

    def test_who_is_not_on_the_route_is_not_asked(self) -> None:
        assert order(SLIDE, {SLIDE: ["slider"]}, OFFERS) == ("slider",)

    def test_a_task_that_nobody_offers_has_nobody(self) -> None:
        assert order("pick-cells", {}, OFFERS) == ()


TABLE: list[tuple[CaptchaHubError, Next]] = [
    (TaskError("a bad picture"), Next.GIVE_UP),
    (TaskRefused("a bad picture, says the service"), Next.GIVE_UP),
    (AuthenticationError("401"), Next.OTHERS),
    (InsufficientBalance("no money"), Next.OTHERS),
    (RateLimited("429"), Next.LATER),
    (RateLimited("429", retry_after=60), Next.LATER),
    (ServiceUnavailable("refused", nothing_created=True), Next.LATER),
    (ServiceUnavailable("reset"), Next.OTHERS),
    (JobFailed("no answer"), Next.OTHERS),
    (JobUnknown("no such job"), Next.OTHERS),
    (WrongSolution("too short"), Next.OTHERS),
    (JobTimeout("too late"), Next.OTHERS),
    (AmbiguousCreate("no job id"), Next.OTHERS),
    (MalformedReply("HTML"), Next.OTHERS),
    (PluginFault("KeyError"), Next.OTHERS),
    (UnsupportedTask("no slides here"), Next.OTHERS),
    (JobRefused("no"), Next.OTHERS),
    (ProviderError("whatever else"), Next.OTHERS),
    (ConfigError("wrong"), Next.GIVE_UP),
    (NotOffered("no price list"), Next.GIVE_UP),
    (HubClosed("closed"), Next.GIVE_UP),
    (SolveCancelled("cancelled"), Next.GIVE_UP),
    (AllProvidersFailed("nobody"), Next.GIVE_UP),
    (SolveTimeout("too late"), Next.GIVE_UP),
    (CaptchaHubError("whatever else"), Next.GIVE_UP),
]


class TestWhatNext:
    @pytest.mark.parametrize(("error", "allowed"), TABLE, ids=lambda value: type(value).__name__)
    def test_each_error_allows_what_the_table_says(self, error: CaptchaHubError, allowed: Next) -> None:
        assert what_next(error) is allowed

    def test_no_error_is_left_out(self) -> None:
        every = {
            kind
            for _, kind in inspect.getmembers(errors, inspect.isclass)
            if issubclass(kind, CaptchaHubError)
        }
        assert {type(error) for error, _ in TABLE} == every

    def test_an_order_that_may_have_been_taken_is_never_sent_again(self) -> None:
        for error in (
            AmbiguousCreate("lost"),
            ServiceUnavailable("lost"),
            MalformedReply("lost"),
            JobTimeout("late"),
        ):
            assert what_next(error) is not Next.LATER


class TestBackoff:
    def test_it_doubles_up_to_ten_seconds(self) -> None:
        assert [backoff(tries) for tries in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]

    def test_chance_takes_away_up_to_a_half(self) -> None:
        assert backoff(3, chance=0.0) == 1
        assert backoff(3, chance=0.5) == 1.5
        assert backoff(3, chance=1.0) == 2

    @pytest.mark.parametrize("kind", [RateLimited, ServiceUnavailable])
    def test_what_the_service_asked_for_lengthens_it(
        self, kind: type[RateLimited | ServiceUnavailable]
    ) -> None:
        assert backoff(1, kind("later", retry_after=30), chance=0.0) == 30

    @pytest.mark.parametrize("asked_for", [None, 0.0, 0.1])
    def test_what_the_service_asked_for_never_shortens_it(self, asked_for: float | None) -> None:
        assert backoff(4, RateLimited("later", retry_after=asked_for)) == 4

    def test_other_errors_ask_for_nothing(self) -> None:
        assert backoff(1, JobFailed("no answer")) == backoff(1, None) == backoff(1)

    @given(st.integers(1, 10**6), st.floats(0, 1), st.none() | st.floats(0, 1e9))
    def test_there_is_always_a_pause(self, tries: int, chance: float, asked_for: float | None) -> None:
        pause = backoff(tries, RateLimited("later", retry_after=asked_for), chance=chance)
        assert 0.25 <= pause <= max(10.0, asked_for or 0.0)
        assert pause >= (asked_for or 0.0)
