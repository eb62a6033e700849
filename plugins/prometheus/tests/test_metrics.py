"""What each event adds to which metric, in a real registry."""

from __future__ import annotations

from decimal import Decimal

from captchahub_prometheus import Prometheus
from prometheus_client import CollectorRegistry, generate_latest

from captchahub import (
    AllProvidersFailed,
    Attempt,
    BudgetExceeded,
    JobFailed,
    JobTimeout,
    ProviderState,
    Result,
    Solution,
    TextSolution,
)
from captchahub.events import (
    Attempted,
    BudgetRefused,
    Cancelled,
    CooledDown,
    Event,
    Failed,
    FellBack,
    JobCreated,
    Polled,
    Solved,
    Submitted,
)

KIND = "image-to-text"


class Told:
    """A registry after a plugin received events."""

    def __init__(self, *events: Event) -> None:
        self.registry = CollectorRegistry()
        plugin = Prometheus(self.registry)
        for event in events:
            plugin.captchahub_observe(event)

    def of(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"captchahub_{name}", labels)


def solved(*, elapsed: float = 3.0, is_shared: bool = False) -> Solved:
    result: Result[Solution] = Result(
        TextSolution("x7kp2"), KIND, "omo", 7, Decimal("0.5"), elapsed, (), is_shared=is_shared
    )
    return Solved(at=10.0, solve="s", kind=KIND, result=result)


def attempted(
    error: JobFailed | JobTimeout | None = None, cost: str | None = "0.00055", elapsed: float = 3.0
) -> Attempted:
    price = None if cost is None else Decimal(cost)
    attempt = Attempt("omo", elapsed, 2, "job-4711", error, price, KIND)
    return Attempted(at=10.0, solve="s", kind=KIND, attempt=attempt)


class TestSolves:
    def test_are_counted_by_kind_and_outcome(self) -> None:
        failed = AllProvidersFailed("none", [Attempt("omo", 1.0, error=JobFailed("unreadable"))])
        told = Told(
            solved(),
            solved(),
            solved(is_shared=True),
            Failed(at=10.0, solve="s", kind=KIND, error=failed, elapsed=9.0),
            Cancelled(at=10.0, solve="s", kind=KIND, elapsed=4.0),
        )
        outcomes = {"solved": 2, "shared": 1, "AllProvidersFailed": 1, "cancelled": 1}
        assert {one: told.of("solves_total", kind=KIND, outcome=one) for one in outcomes} == outcomes

    def test_and_their_seconds(self) -> None:
        told = Told(solved(elapsed=3.0), solved(elapsed=40.0))
        labels = {"kind": KIND, "outcome": "solved"}
        assert told.of("solve_duration_seconds_sum", **labels) == 43.0
        assert told.of("solve_duration_seconds_bucket", **labels, le="5.0") == 1
        assert told.of("solve_duration_seconds_bucket", **labels, le="45.0") == 2


class TestAttempts:
    def test_are_counted_by_provider_kind_and_the_class_of_the_error(self) -> None:
        told = Told(attempted(), attempted(JobFailed("unreadable")), attempted(JobTimeout("late")))
        for outcome in ("solved", "JobFailed", "JobTimeout"):
            labels = {"provider": "omo", "kind": KIND, "outcome": outcome}
            assert told.of("attempts_total", **labels) == 1
            assert told.of("attempt_duration_seconds_sum", **labels) == 3.0

    def test_an_error_of_a_plugins_own_counts_as_the_nearest_of_captchahub(self) -> None:
        class JobNumber4711Failed(JobFailed):
            pass

        told = Told(attempted(JobNumber4711Failed("unreadable")))
        assert told.of("attempts_total", provider="omo", kind=KIND, outcome="JobFailed") == 1

    def test_known_costs_are_added_up(self) -> None:
        told = Told(attempted(cost="0.5"), attempted(cost="0.25"), attempted(cost=None), attempted(cost="0"))
        assert told.of("cost_total", provider="omo", kind=KIND) == 0.75

    def test_unknown_costs_are_counted_and_not_taken_for_0(self) -> None:
        told = Told(attempted(cost=None), attempted(cost="0"))
        assert told.of("unknown_costs_total", provider="omo", kind=KIND) == 1
        assert told.of("cost_total", provider="omo", kind=KIND) is None

    def test_money_back_takes_nothing_from_a_counter(self) -> None:
        assert (
            Told(attempted(cost="1"), attempted(cost="-1")).of("cost_total", provider="omo", kind=KIND) == 1
        )


def test_polls_are_counted() -> None:
    poll = Polled(at=1.0, solve="s", kind=KIND, provider="omo", job_id=7, number=1, is_done=False)
    assert Told(poll, poll).of("polls_total", provider="omo", kind=KIND) == 2


def test_fallbacks_and_refusals_of_budgets_are_counted() -> None:
    told = Told(
        FellBack(at=1.0, solve="s", kind=KIND, provider="omo", error=JobFailed("unreadable")),
        BudgetRefused(at=1.0, solve="s", kind=KIND, provider="omo", error=BudgetExceeded("spent")),
    )
    assert told.of("fallbacks_total", provider="omo", kind=KIND, error="JobFailed") == 1
    assert told.of("budget_refusals_total", provider="omo", kind=KIND, error="BudgetExceeded") == 1


def test_nothing_without_bounds_becomes_a_label() -> None:
    told = Told(
        Submitted(at=0.0, solve="solve-id", kind=KIND, timeout=60.0),
        JobCreated(at=1.0, solve="solve-id", kind=KIND, provider="omo", job_id="job-4711", price=None),
        attempted(JobFailed("the service said this")),
        CooledDown(at=1.0, provider="omo", state=ProviderState.COOLING, reason="5 failures", until=31.0),
    )
    text = generate_latest(told.registry).decode()
    assert "JobFailed" in text
    for unbounded in ("solve-id", "job-4711", "the service said this", "5 failures"):
        assert unbounded not in text


def test_two_of_them_share_a_registry() -> None:
    registry = CollectorRegistry()
    for plugin in (Prometheus(registry), Prometheus(registry)):
        plugin.captchahub_observe(solved())
    labels = {"kind": KIND, "outcome": "solved"}
    assert registry.get_sample_value("captchahub_solves_total", labels) == 2
