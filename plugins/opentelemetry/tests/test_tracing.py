"""Which spans the events of a solve become, with the real SDK."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

import pytest
from captchahub_opentelemetry import OpenTelemetry
from captchahub_opentelemetry.spans import Spans
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from captchahub import (
    AllProvidersFailed,
    Attempt,
    BudgetExceeded,
    JobFailed,
    Overtaken,
    ProviderError,
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
    Failed,
    FellBack,
    JobCreated,
    Polled,
    Solved,
    Submitted,
)

KIND = "image-to-text"
SOLVE, ATTEMPT = f"captchahub solve {KIND}", "captchahub attempt omo"
BEGUN = 1_800_000_000.0


class Traces(Protocol):
    @property
    def provider(self) -> TracerProvider: ...
    @property
    def spans(self) -> list[ReadableSpan]: ...
    def named(self, name: str) -> ReadableSpan: ...
    def context_of(self, span: ReadableSpan) -> SpanContext: ...


class OnStart(SpanProcessor):
    """Calls a function with each span that begins."""

    def __init__(self, call: Callable[[object], None]) -> None:
        self._call = call

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._call(span)


@pytest.fixture
def plugin(traces: Traces) -> OpenTelemetry:
    return OpenTelemetry(traces.provider)


def submitted(solve: str = "s", at: float = BEGUN) -> Submitted:
    return Submitted(at=at, solve=solve, kind=KIND, timeout=60.0)


def attempted(
    error: ProviderError | None = None, *, at: float = BEGUN + 4, elapsed: float = 3.5
) -> Attempted:
    attempt = Attempt("omo", elapsed, 2, 4711, error, Decimal("0.5"), KIND)
    return Attempted(at=at, solve="s", kind=KIND, attempt=attempt)


def solved(at: float = BEGUN + 5) -> Solved:
    attempts = (attempted().attempt,)
    result: Result[Solution] = Result(TextSolution("x7kp2"), KIND, "omo", 4711, Decimal("0.5"), 5.0, attempts)
    return Solved(at=at, solve="s", kind=KIND, result=result)


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def ns(at: float) -> int:
    return int(at * 1_000_000_000)


class TestASolve:
    def test_is_a_span_from_its_submission_to_its_end(self, plugin: OpenTelemetry, traces: Traces) -> None:
        for event in (submitted(), attempted(), solved()):
            plugin.captchahub_observe(event)
        span = traces.named(SOLVE)
        assert (span.start_time, span.end_time) == (ns(BEGUN), ns(BEGUN + 5))
        assert span.status.status_code is StatusCode.UNSET
        assert dict(span.attributes or {}) == {
            "captchahub.kind": KIND,
            "captchahub.solve": "s",
            "captchahub.timeout": 60.0,
            "captchahub.outcome": "solved",
            "captchahub.provider": "omo",
            "captchahub.job_id": "4711",
            "captchahub.cost": 0.5,
            "captchahub.is_shared": False,
        }

    def test_is_a_child_of_the_callers_span(self, plugin: OpenTelemetry, traces: Traces) -> None:
        with traces.provider.get_tracer("app").start_as_current_span("sign up"):
            plugin.captchahub_observe(submitted())
            plugin.captchahub_observe(solved())
        assert parent_of(traces.named(SOLVE)) == traces.context_of(traces.named("sign up")).span_id

    def test_that_fails_has_the_error(self, plugin: OpenTelemetry, traces: Traces) -> None:
        error = AllProvidersFailed(
            "no provider solved it", [Attempt("omo", 1.0, error=JobFailed("unreadable"))]
        )
        plugin.captchahub_observe(submitted())
        plugin.captchahub_observe(Failed(at=BEGUN + 9, solve="s", kind=KIND, error=error, elapsed=9.0))
        span = traces.named(SOLVE)
        assert span.status.status_code is StatusCode.ERROR
        assert "no provider solved it" in (span.status.description or "")
        attributes = span.attributes or {}
        assert (attributes["captchahub.outcome"], attributes["error.type"]) == (
            "failed",
            "AllProvidersFailed",
        )
        [event] = span.events
        assert (event.name, event.timestamp) == ("exception", ns(BEGUN + 9))

    def test_that_is_cancelled_is_not_an_error(self, plugin: OpenTelemetry, traces: Traces) -> None:
        plugin.captchahub_observe(submitted())
        plugin.captchahub_observe(Cancelled(at=BEGUN + 2, solve="s", kind=KIND, elapsed=2.0))
        span = traces.named(SOLVE)
        assert (span.attributes or {})["captchahub.outcome"] == "cancelled"
        assert span.status.status_code is StatusCode.UNSET

    def test_has_an_event_for_each_step(self, plugin: OpenTelemetry, traces: Traces) -> None:
        who: dict[str, Any] = {"solve": "s", "kind": KIND, "provider": "omo"}
        for event in (
            submitted(),
            JobCreated(at=BEGUN + 1, job_id=7, price=Decimal("0.25"), **who),
            Polled(at=BEGUN + 2, job_id=7, number=1, is_done=False, **who),
            FellBack(at=BEGUN + 3, error=JobFailed("unreadable"), **who),
            BudgetRefused(at=BEGUN + 4, error=BudgetExceeded("spent"), **who),
            solved(),
        ):
            plugin.captchahub_observe(event)
        told = [(one.name, one.timestamp, dict(one.attributes or {})) for one in traces.named(SOLVE).events]
        by = {"captchahub.provider": "omo"}
        assert told == [
            ("captchahub.ordered", ns(BEGUN + 1), by | {"captchahub.job_id": "7", "captchahub.price": 0.25}),
            ("captchahub.fell_back", ns(BEGUN + 3), by | {"error.type": "JobFailed"}),
            ("captchahub.budget_refused", ns(BEGUN + 4), by | {"error.type": "BudgetExceeded"}),
        ]


class TestAnAttempt:
    def test_is_a_child_of_the_solve(self, plugin: OpenTelemetry, traces: Traces) -> None:
        for event in (submitted(), attempted(), solved()):
            plugin.captchahub_observe(event)
        span = traces.named(ATTEMPT)
        assert parent_of(span) == traces.context_of(traces.named(SOLVE)).span_id
        assert (span.start_time, span.end_time) == (ns(BEGUN + 0.5), ns(BEGUN + 4))
        assert span.kind is SpanKind.CLIENT
        assert dict(span.attributes or {}) == {
            "captchahub.kind": KIND,
            "captchahub.solve": "s",
            "captchahub.provider": "omo",
            "captchahub.polls": 2,
            "captchahub.job_id": "4711",
            "captchahub.cost": 0.5,
        }

    def test_that_failed_has_its_error(self, plugin: OpenTelemetry, traces: Traces) -> None:
        plugin.captchahub_observe(submitted())
        plugin.captchahub_observe(attempted(JobFailed("unreadable")))
        span = traces.named(ATTEMPT)
        assert (span.status.status_code, span.status.description) == (
            StatusCode.ERROR,
            "JobFailed: unreadable",
        )
        [event] = span.events
        facts = event.attributes or {}
        assert (event.name, facts["exception.message"]) == ("exception", "unreadable")

    def test_that_ends_after_its_solve_is_its_child_too(self, plugin: OpenTelemetry, traces: Traces) -> None:
        plugin.captchahub_observe(submitted())
        plugin.captchahub_observe(solved())
        plugin.captchahub_observe(attempted(Overtaken("omo was slower"), at=BEGUN + 30))
        late, solve = traces.named(ATTEMPT), traces.named(SOLVE)
        assert parent_of(late) == traces.context_of(solve).span_id
        assert traces.context_of(late).trace_id == traces.context_of(solve).trace_id


class TestLostEvents:
    def test_a_solve_whose_beginning_was_lost_has_a_span_all_the_same(
        self, plugin: OpenTelemetry, traces: Traces
    ) -> None:
        plugin.captchahub_observe(solved())
        plugin.captchahub_observe(attempted(at=BEGUN + 6))
        span = traces.named(SOLVE)
        assert (span.start_time, span.end_time) == (ns(BEGUN), ns(BEGUN + 5))
        assert parent_of(traces.named(ATTEMPT)) == traces.context_of(span).span_id

    def test_an_attempt_of_an_unknown_solve_is_a_child_of_the_callers_span(
        self, plugin: OpenTelemetry, traces: Traces
    ) -> None:
        with traces.provider.get_tracer("app").start_as_current_span("sign up"):
            plugin.captchahub_observe(attempted())
        assert parent_of(traces.named(ATTEMPT)) == traces.context_of(traces.named("sign up")).span_id

    def test_what_happened_on_the_way_of_an_unknown_solve_is_nothing(
        self, plugin: OpenTelemetry, traces: Traces
    ) -> None:
        plugin.captchahub_observe(
            FellBack(at=BEGUN, solve="s", kind=KIND, provider="omo", error=JobFailed("unreadable"))
        )
        assert traces.spans == []

    def test_solves_whose_end_is_lost_are_ended_if_there_are_too_many(self, traces: Traces) -> None:
        spans, tracer = Spans(most=3), traces.provider.get_tracer("test")
        for number in range(10):
            spans.open(str(number), tracer.start_span(f"solve {number}"))
        assert [one.name for one in traces.spans] == [f"solve {number}" for number in range(7)]
        assert all((one.attributes or {})["captchahub.outcome"] == "unknown" for one in traces.spans)
        assert len(spans) == 6
        assert spans.of("0") is None

    def test_of_so_many_that_have_ended_it_is_known_which_they_were(self, traces: Traces) -> None:
        spans, tracer = Spans(most=3), traces.provider.get_tracer("test")
        for number in range(10):
            spans.open(str(number), tracer.start_span("solve"))
            assert spans.close(str(number)) is not None
        assert [number for number in range(10) if spans.of(str(number)) is not None] == [7, 8, 9]
        assert spans.close("9") is None


def test_events_of_a_provider_are_not_spans(plugin: OpenTelemetry, traces: Traces) -> None:
    plugin.captchahub_observe(
        CooledDown(at=BEGUN, provider="omo", state=ProviderState.OUT, reason="refused", until=None)
    )
    assert traces.spans == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forking with threads is the point
def test_a_forked_child_waits_for_no_thread_of_its_parent(traces: Traces) -> None:
    """If a thread was making a span during the fork, the child does not wait for it to finish."""
    plugin, is_tracing, may_go_on = OpenTelemetry(traces.provider), threading.Event(), threading.Event()

    def wait(_: object) -> None:
        if threading.current_thread() is tracing:
            is_tracing.set()
            may_go_on.wait(30)

    traces.provider.add_span_processor(OnStart(wait))
    tracing = threading.Thread(target=plugin.captchahub_observe, args=(submitted(),))
    tracing.start()
    assert is_tracing.wait(30)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
        plugin.captchahub_observe(submitted("of the child"))
        os._exit(0)
    may_go_on.set()
    tracing.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
