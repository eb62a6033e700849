"""The error tree: it matches the drawing in the docstring, and every error can be pickled."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from multiprocessing import get_context

import pytest

import captchahub
from captchahub import (
    AllProvidersFailed,
    Attempt,
    AuthenticationError,
    CaptchaHubError,
    ConfigError,
    Image,
    JobFailed,
    JobTimeout,
    NotOffered,
    ProviderError,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    SolveTimeout,
    TaskError,
    TaskRefused,
    TemporarilyBlocked,
    errors,
)

ATTEMPTS = (
    Attempt("omo", 1.25, 3, 7, JobFailed("the service gave up")),
    Attempt("spare", 0.5, error=RateLimited("HTTP 429", retry_after=30.0)),
)
SOLVED = Attempt("own", 0.25, 1, 8)
LATE = Attempt("late", 9.0, error=JobTimeout("no answer within 9.0 s"))

EVERY_ERROR = {
    kind.__name__: kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, CaptchaHubError)
}

every_error = pytest.mark.parametrize("kind", EVERY_ERROR.values(), ids=EVERY_ERROR.keys())


def drawn_tree() -> Iterator[tuple[str, str]]:
    """The names in the module's docstring, each with the name above it."""
    above: dict[int, str] = {}
    for indent, name in re.findall(r"^ {4}([ │├└─]*)([A-Z]\w+)\b", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4
        above[depth] = name
        if depth:
            yield name, above[depth - 1]


def made(kind: type[CaptchaHubError]) -> CaptchaHubError:
    """Return an error of a class, with everything that it can carry."""
    if issubclass(kind, AllProvidersFailed):
        return kind("nobody solved it", ATTEMPTS)
    if issubclass(kind, ServiceUnavailable):
        return kind("HTTP 503", nothing_created=True, retry_after=2.5)
    if issubclass(kind, RateLimited):
        return kind("HTTP 429", retry_after=2.5)
    return kind("what went wrong")


class TestTree:
    def test_the_drawing_is_complete(self) -> None:
        assert {name for name, _ in drawn_tree()} == {*EVERY_ERROR} - {"CaptchaHubError"}

    @pytest.mark.parametrize(("name", "above"), [*drawn_tree()])
    def test_every_error_is_a_subclass_of_what_it_is_drawn_under(self, name: str, above: str) -> None:
        assert issubclass(EVERY_ERROR[name], EVERY_ERROR[above])

    @every_error
    def test_every_error_has_a_public_name_and_a_meaning(self, kind: type[CaptchaHubError]) -> None:
        assert getattr(captchahub, kind.__name__) is kind
        assert kind.__doc__

    def test_a_task_refused_by_the_service_is_caught_as_either_of_its_parents(self) -> None:
        assert issubclass(TaskRefused, TaskError)
        assert issubclass(TaskRefused, ProviderError)

    def test_a_job_timeout_is_a_timeout_error(self) -> None:
        assert issubclass(JobTimeout, TimeoutError)

    def test_a_solve_timeout_is_not_a_timeout_error_because_a_group_cannot_be(self) -> None:
        assert issubclass(SolveTimeout, ExceptionGroup)
        assert not issubclass(SolveTimeout, TimeoutError)
        with pytest.raises(TypeError, match="conflict"):
            type("Both", (ExceptionGroup, TimeoutError), {})

    @pytest.mark.parametrize("kind", [ConfigError, TaskError, NotOffered, AllProvidersFailed])
    def test_an_error_without_a_provider_is_not_a_provider_error(self, kind: type[CaptchaHubError]) -> None:
        assert not issubclass(kind, ProviderError)


class TestEveryError:
    @every_error
    def test_it_can_be_pickled_and_copied_with_all_it_carries(self, kind: type[CaptchaHubError]) -> None:
        error = made(kind)
        for same in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert type(same) is kind
            assert str(same) == str(error)
            assert repr(same) == repr(error)
            assert facts(same) == facts(error)

    @every_error
    def test_its_text_is_its_message(self, kind: type[CaptchaHubError]) -> None:
        error = made(kind)
        assert str(error).splitlines()[0] == error.args[0]

    @every_error
    def test_it_has_no_system_error_number(self, kind: type[CaptchaHubError]) -> None:
        """TimeoutError is an OSError, whose callers look at errno."""
        assert getattr(made(kind), "errno", None) is None
        assert getattr(made(kind), "filename", None) is None

    def test_they_come_back_from_another_process(self) -> None:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            raised = pool.submit(Image.from_bytes, b"").exception(30)
            returned = pool.submit(SolveTimeout, "late", ATTEMPTS).result(30)
        assert isinstance(raised, TaskError)
        assert "the picture is empty" in str(raised)
        assert str(returned) == str(SolveTimeout("late", ATTEMPTS))


def facts(error: CaptchaHubError) -> dict[str, str]:
    """Return the facts of an error as text, because errors do not compare by value."""
    return {name: repr(value) for name, value in vars(error).items()}


class TestProviderErrors:
    @pytest.mark.parametrize(
        "kind",
        [
            kind
            for kind in EVERY_ERROR.values()
            if issubclass(kind, ProviderError) and kind is not ProviderError
        ],
    )
    def test_each_has_advice(self, kind: type[ProviderError]) -> None:
        assert kind.advice
        assert kind.advice == kind.advice.strip(" .")

    def test_a_requested_pause_is_in_seconds(self) -> None:
        assert RateLimited("slow down", retry_after=2.5).retry_after == 2.5
        assert ServiceUnavailable("down", retry_after=2.5).retry_after == 2.5

    def test_unknown_facts_have_cautious_defaults(self) -> None:
        assert RateLimited("slow down").retry_after is None
        assert ServiceUnavailable("down").retry_after is None
        assert ServiceUnavailable("down").nothing_created is False

    def test_a_ban_lasts_five_minutes_if_the_service_names_no_time(self) -> None:
        assert TemporarilyBlocked("banned").retry_after == 300.0
        assert TemporarilyBlocked("banned", retry_after=600.0).retry_after == 600.0
        assert ServiceBusy("no slot").retry_after is None

    def test_facts_of_an_error_are_keyword_arguments(self) -> None:
        with pytest.raises(TypeError):
            RateLimited("slow down", 2.5)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # the point of it


class TestAttempt:
    def test_one_that_delivered(self) -> None:
        assert str(Attempt("omo", 1.26, 3, 7)) == "omo (job 7), 1.3 s: solved"

    def test_one_that_failed_says_why_and_what_to_do(self) -> None:
        attempt = Attempt("omo", 0.2, error=AuthenticationError("HTTP 401"))
        advice = "check the provider's token in the configuration"
        assert str(attempt) == f"omo, 0.2 s: AuthenticationError: HTTP 401; {advice}"

    def test_one_that_failed_without_advice(self) -> None:
        assert str(Attempt("omo", 0.2, error=ProviderError("odd"))) == "omo, 0.2 s: ProviderError: odd"

    def test_a_job_id_of_zero_or_of_no_letters_is_shown(self) -> None:
        assert "(job 0)" in str(Attempt("omo", 1, job_id=0))
        assert "(job )" in str(Attempt("omo", 1, job_id=""))

    def test_its_cost_is_unknown_by_default(self) -> None:
        assert Attempt("omo", 1.25).cost is None
        assert Attempt("omo", 1.25, cost=Decimal(0)).cost == 0

    def test_it_can_be_pickled(self) -> None:
        attempt = Attempt("omo", 1.25, 3, "a-7", cost=Decimal("0.0005"))
        assert pickle.loads(pickle.dumps(attempt)) == attempt


class TestAllProvidersFailed:
    def test_it_lists_every_attempt_in_order(self) -> None:
        assert str(AllProvidersFailed("no provider solved it", ATTEMPTS)).splitlines() == [
            "no provider solved it",
            f"  - {ATTEMPTS[0]}",
            f"  - {ATTEMPTS[1]}",
        ]

    def test_its_message_is_available_without_the_attempts(self) -> None:
        assert AllProvidersFailed("no provider solved it", ATTEMPTS).message == "no provider solved it"

    def test_its_attempts_stay_as_they_were(self) -> None:
        attempts = [*ATTEMPTS]
        error = SolveTimeout("late", attempts)
        attempts.clear()
        assert error.attempts == ATTEMPTS

    def test_attempts_of_one_provider_that_ended_alike_share_a_line(self) -> None:
        busy = Attempt("omo", 0.25, error=RateLimited("HTTP 429"))
        error = AllProvidersFailed("no provider solved it", [busy, busy, ATTEMPTS[1], busy])
        advice = "lower max_in_flight, or add a provider to the route"
        assert str(error).splitlines()[1:] == [
            f"  - omo, 3 times, 0.8 s: RateLimited: HTTP 429; {advice}",
            f"  - {ATTEMPTS[1]}",
        ]

    def test_attempts_that_ended_differently_have_separate_lines(self) -> None:
        busy, lost = (
            Attempt("omo", 1, error=RateLimited("HTTP 429")),
            Attempt("omo", 1, job_id=8, error=LATE.error),
        )
        error = AllProvidersFailed("no provider solved it", [busy, lost, busy])
        assert [line[:14] for line in str(error).splitlines()[1:]] == [
            "  - omo, 2 tim",
            "  - omo (job 8)"[:14],
        ]

    def test_at_least_one_attempt_must_have_failed(self) -> None:
        for attempts in ([], [SOLVED]):
            with pytest.raises(ValueError, match="non-empty"):
                AllProvidersFailed("nobody was there", attempts)


def failed(kind: type[AllProvidersFailed] = AllProvidersFailed) -> AllProvidersFailed:
    """Three attempts failed, and one gave an answer that was not enough."""
    return kind("nobody solved it", [ATTEMPTS[0], SOLVED, *ATTEMPTS[1:], LATE])


def attempts_of(group: ExceptionGroup[ProviderError] | None) -> tuple[Attempt, ...]:
    """Return the attempts of a part of a group, which is a group itself."""
    assert isinstance(group, AllProvidersFailed)
    return group.attempts


class TestAsAGroup:
    """AllProvidersFailed is an exception group, and so is each part of it."""

    def test_it_is_caught_as_an_error_of_the_library_and_as_a_group(self) -> None:
        for kind in (AllProvidersFailed, CaptchaHubError, ExceptionGroup):
            with pytest.raises(kind) as caught:
                raise failed()
            assert caught.type is AllProvidersFailed

    def test_it_holds_the_errors_of_the_attempts_in_their_order(self) -> None:
        assert failed().exceptions == (ATTEMPTS[0].error, ATTEMPTS[1].error, LATE.error)

    def test_an_attempt_that_did_not_fail_is_listed_but_not_part_of_the_group(self) -> None:
        assert SOLVED in failed().attempts
        assert len(failed().exceptions) == 3

    def test_each_handler_gets_its_errors_with_their_attempts(self) -> None:
        expected, other = list[ExceptionGroup[ProviderError]](), list[ExceptionGroup[ProviderError]]()
        try:
            raise failed()
        except* (RateLimited, JobFailed) as group:
            expected.append(group)
        except* ProviderError as group:
            other.append(group)
        assert [attempts_of(group) for group in expected] == [ATTEMPTS]
        assert [attempts_of(group) for group in other] == [(LATE,)]

    def test_errors_without_a_handler_propagate_with_their_attempts(self) -> None:
        def handle_the_busy() -> None:
            try:
                raise failed()
            except* RateLimited:
                pass

        with pytest.raises(AllProvidersFailed, match="nobody solved it") as caught:
            handle_the_busy()
        assert caught.value.attempts == (ATTEMPTS[0], LATE)

    @pytest.mark.parametrize("kind", [AllProvidersFailed, CaptchaHubError, Exception])
    def test_a_handler_of_the_whole_gets_the_whole(self, kind: type[Exception]) -> None:
        error = failed()
        whole, rest = error.split(lambda found: isinstance(found, kind))
        assert attempts_of(whole) == error.attempts
        assert rest is None

    def test_it_can_be_split(self) -> None:
        busy, rest = failed(SolveTimeout).split(RateLimited)
        assert type(busy) is type(rest) is SolveTimeout
        assert attempts_of(busy) == (ATTEMPTS[1],)
        assert attempts_of(rest) == (ATTEMPTS[0], LATE)
        assert str(busy).splitlines() == ["nobody solved it", f"  - {ATTEMPTS[1]}"]

    def test_a_part_that_is_not_there_is_none(self) -> None:
        busy, rest = failed().split(AuthenticationError)
        assert busy is None
        assert attempts_of(rest) == (*ATTEMPTS, LATE)

    def test_errors_with_equal_texts_are_kept_apart(self) -> None:
        one, other = (Attempt("omo", 0.5, error=RateLimited("HTTP 429")) for _ in range(2))
        part = AllProvidersFailed("nobody", [one, other]).subgroup(lambda error: error is other.error)
        assert attempts_of(part) == (other,)

    def test_a_part_keeps_what_was_noted_on_the_whole_and_where_it_came_from(self) -> None:
        error = failed()
        error.__cause__ = KeyError("why")
        error.add_note("while the suite ran")
        part = error.subgroup(RateLimited)
        assert part is not None
        assert part.__notes__ == ["while the suite ran"]
        assert part.__cause__ is error.__cause__

    def test_it_is_a_group_after_it_was_pickled(self) -> None:
        restored = pickle.loads(pickle.dumps(failed(SolveTimeout)))
        assert isinstance(restored, SolveTimeout)
        assert [attempt.provider for attempt in restored.attempts] == ["omo", "own", "spare", "late"]
        assert restored.exceptions == tuple(one.error for one in restored.attempts if one.error is not None)

    def test_its_traceback_shows_every_error(self) -> None:
        shown = "".join(traceback.format_exception(failed()))
        for attempt in (*ATTEMPTS, LATE):
            assert f"{type(attempt.error).__name__}: {attempt.error}" in shown
