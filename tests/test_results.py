"""What a solve gives back, and how one task of many ended."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import Any

import attrs
import pytest

from captchahub import (
    Attempt,
    CaptchaHubError,
    Image,
    ImageToText,
    JobFailed,
    Outcome,
    RateLimited,
    Result,
    SolveTimeout,
    TextSolution,
)

TASK = ImageToText(Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs="), length=5)

RESULT = Result(
    TextSolution("x7kp2"),
    provider="spare",
    job_id="a-7",
    cost=Decimal("0.0005"),
    elapsed=4.5,
    attempts=(
        Attempt("omo", 0.5, error=RateLimited("HTTP 429", retry_after=3)),
        Attempt("spare", 4, 2, "a-7"),
    ),
    ignored_options=("length",),
)
SOLVED = Outcome(0, TASK, result=RESULT)
FAILED: Outcome[TextSolution] = Outcome(1, TASK, error=SolveTimeout("too late", RESULT.attempts))


class TestResult:
    def test_it_names_who_delivered_and_on_which_way(self) -> None:
        assert RESULT.solution.text == "x7kp2"
        assert (RESULT.provider, RESULT.job_id, RESULT.cost, RESULT.elapsed) == (
            "spare",
            "a-7",
            Decimal("0.0005"),
            4.5,
        )
        assert [attempt.provider for attempt in RESULT.attempts] == ["omo", "spare"]

    def test_options_are_ignored_only_where_it_says_so(self) -> None:
        plain = Result(TextSolution("a"), "own", job_id=None, cost=None, elapsed=0.1, attempts=())
        assert plain.ignored_options == ()

    def test_repr_shows_all_of_it(self) -> None:
        for fact in ("x7kp2", "spare", "a-7", "0.0005", "4.5", "HTTP 429", "length"):
            assert fact in repr(RESULT)


class TestOutcome:
    def test_a_task_that_was_solved_gives_its_result(self) -> None:
        assert SOLVED.unwrap() is RESULT
        assert SOLVED.error is None

    def test_a_task_that_was_not_raises_its_error(self) -> None:
        with pytest.raises(SolveTimeout, match="too late") as caught:
            FAILED.unwrap()
        assert caught.value is FAILED.error
        assert FAILED.result is None

    def test_an_outcome_of_neither_raises_as_well(self) -> None:
        with pytest.raises(CaptchaHubError, match="this task was not solved"):
            Outcome(0, TASK).unwrap()

    def test_it_knows_the_task_and_its_place(self) -> None:
        assert (FAILED.index, FAILED.task) == (1, TASK)

    def test_repr_shows_no_content_of_the_picture(self) -> None:
        assert "<Image gif 1x1, 35 bytes>" in repr(FAILED)
        assert "GIF8" not in repr(FAILED)


@pytest.mark.parametrize("value", [RESULT, SOLVED, FAILED], ids=["result", "solved", "failed"])
class TestEveryValue:
    def test_it_can_be_pickled_and_copied(self, value: Any) -> None:
        """Errors do not compare by value, so what they show is compared."""
        for same in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
            assert repr(same) == repr(value)

    def test_it_is_frozen(self, value: Any) -> None:
        for field in attrs.fields_dict(value.__class__):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(value, field, None)


def test_results_compare_by_value() -> None:
    one, same = (
        Result(TextSolution("a"), "omo", 7, None, 1.0, (Attempt("omo", 1.0, 1, 7),)) for _ in range(2)
    )
    assert one == same
    assert one != attrs.evolve(same, solution=TextSolution("b"))
    assert Outcome(0, TASK, result=one) == Outcome(0, TASK, result=same)


def test_the_errors_of_attempts_come_back_with_what_they_carry() -> None:
    restored = pickle.loads(pickle.dumps(RESULT)).attempts[0].error
    assert isinstance(restored, RateLimited)
    assert restored.retry_after == 3
    assert not isinstance(restored, JobFailed)
