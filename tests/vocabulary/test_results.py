"""What a solve returns, and how one task of many ended."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
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
    ProviderHealth,
    ProviderState,
    RateLimited,
    Result,
    SolveTimeout,
    TaskError,
    TextSolution,
    Vote,
)

TASK = ImageToText(Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs="), length=5)

RESULT = Result(
    TextSolution("x7kp2"),
    kind="image-to-text",
    provider="spare",
    job_id="a-7",
    cost=Decimal("0.0005"),
    elapsed=4.5,
    attempts=(
        Attempt("omo", 0.5, error=RateLimited("HTTP 429", retry_after=3), cost=Decimal(0)),
        Attempt("spare", 4, 2, "a-7", cost=Decimal("0.0005")),
    ),
    ignored_options=("length",),
    votes=(Vote("spare", "a-7", TextSolution("x7kp2"), agrees=True),),
)
VOTE = RESULT.votes[0]
HEALTHY = ProviderHealth(ProviderState.HEALTHY)
COOLING = ProviderHealth(
    ProviderState.COOLING,
    "5 failures in a row",
    since=datetime(2026, 1, 31, 12, tzinfo=UTC),
    until=datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC),
)
SOLVED = Outcome(0, TASK, result=RESULT)
FAILED: Outcome[TextSolution] = Outcome(1, TASK, error=SolveTimeout("too late", RESULT.attempts))


class TestResult:
    def test_it_names_the_provider_and_its_attempts(self) -> None:
        assert RESULT.solution.text == "x7kp2"
        assert RESULT.kind == TASK.kind
        assert (RESULT.provider, RESULT.job_id, RESULT.cost, RESULT.elapsed) == (
            "spare",
            "a-7",
            Decimal("0.0005"),
            4.5,
        )
        assert [attempt.provider for attempt in RESULT.attempts] == ["omo", "spare"]

    def test_no_option_is_ignored_by_default(self) -> None:
        plain = Result(TextSolution("a"), TASK.kind, "own", job_id=None, cost=None, elapsed=0.1, attempts=())
        assert plain.ignored_options == ()

    def test_repr_shows_all_of_it(self) -> None:
        for fact in ("x7kp2", "image-to-text", "spare", "a-7", "0.0005", "4.5", "HTTP 429", "length"):
            assert fact in repr(RESULT)

    def test_there_are_no_votes_by_default(self) -> None:
        plain = attrs.evolve(RESULT, votes=())
        assert plain.votes == ()
        assert plain != RESULT


def costing(*costs: str | None) -> Result[TextSolution]:
    """Return a result whose attempts had these costs."""
    attempts = [Attempt("omo", 1.0, cost=None if cost is None else Decimal(cost)) for cost in costs]
    return attrs.evolve(RESULT, attempts=tuple(attempts))


class TestTotalCost:
    def test_it_is_what_all_attempts_cost_together(self) -> None:
        assert costing("0", "0.0005", "0.0012").total_cost == Decimal("0.0017")

    def test_one_attempt_costs_what_it_costs(self) -> None:
        assert costing("0.0005").total_cost == Decimal("0.0005")

    def test_it_is_exact(self) -> None:
        assert str(costing(*["0.1"] * 3).total_cost) == "0.3"

    def test_it_is_unknown_if_the_cost_of_one_attempt_is(self) -> None:
        assert costing("0.0005", None).total_cost is None

    def test_a_cost_of_nothing_is_known(self) -> None:
        assert costing("0", "0").total_cost == 0


class TestProviderHealth:
    def test_one_that_was_always_healthy_has_no_reason_and_no_times(self) -> None:
        assert (HEALTHY.state, HEALTHY.reason, HEALTHY.since, HEALTHY.until) == (
            ProviderState.HEALTHY,
            *[None] * 3,
        )

    def test_states_have_the_names_that_are_shown(self) -> None:
        assert [state.value for state in ProviderState] == ["healthy", "cooling", "half-open", "out"]

    def test_times_are_datetimes(self) -> None:
        assert COOLING.until is not None
        assert COOLING.until.isoformat() == "2026-01-31T12:00:30+00:00"


class TestOutcome:
    def test_unwrap_returns_the_result(self) -> None:
        assert SOLVED.unwrap() is RESULT
        assert SOLVED.error is None

    def test_unwrap_raises_the_error(self) -> None:
        with pytest.raises(SolveTimeout, match="too late") as caught:
            FAILED.unwrap()
        assert caught.value is FAILED.error
        assert FAILED.result is None

    def test_an_outcome_of_neither_raises_as_well(self) -> None:
        with pytest.raises(CaptchaHubError, match="this task was not solved"):
            Outcome(0, TASK).unwrap()

    def test_a_task_that_could_not_be_made_raises_why(self) -> None:
        error = TaskError("no picture")
        refused: Outcome[TextSolution] = Outcome(2, None, error=error)
        with pytest.raises(TaskError) as caught:
            _ = refused.task
        assert caught.value is error
        with pytest.raises(CaptchaHubError, match="this task was not made"):
            _ = Outcome[TextSolution](2, None).task

    def test_it_has_the_task_and_its_index(self) -> None:
        assert (FAILED.index, FAILED.task) == (1, TASK)

    def test_repr_shows_no_content_of_the_picture(self) -> None:
        assert "<Image gif 1x1, 35 bytes>" in repr(FAILED)
        assert "GIF8" not in repr(FAILED)


@pytest.mark.parametrize(
    "value",
    [RESULT, VOTE, HEALTHY, COOLING, SOLVED, FAILED],
    ids=["result", "vote", "healthy", "cooling", "solved", "failed"],
)
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
        Result(TextSolution("a"), TASK.kind, "omo", 7, None, 1.0, (Attempt("omo", 1.0, 1, 7),))
        for _ in range(2)
    )
    assert one == same
    assert one != attrs.evolve(same, solution=TextSolution("b"))
    assert Outcome(0, TASK, result=one) == Outcome(0, TASK, result=same)


def test_the_errors_of_attempts_come_back_with_what_they_carry() -> None:
    restored = pickle.loads(pickle.dumps(RESULT)).attempts[0].error
    assert isinstance(restored, RateLimited)
    assert restored.retry_after == 3
    assert not isinstance(restored, JobFailed)
