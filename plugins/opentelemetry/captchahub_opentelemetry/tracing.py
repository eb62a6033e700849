"""Turns events into spans: one for each solve, with a child for each attempt."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import singledispatchmethod
from weakref import WeakSet

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider, get_tracer
from opentelemetry.trace import set_span_in_context as with_span

from captchahub import __version__
from captchahub.events import (
    Attempted,
    BudgetRefused,
    Cancelled,
    Event,
    Failed,
    FellBack,
    JobCreated,
    Solved,
    SolveEvent,
    Submitted,
)
from captchahub_opentelemetry.spans import Spans

__all__ = ["Tracing"]

Value = str | bool | int | float


class Tracing:
    """Turns the events of any number of hubs into spans.

    Observers are called with the context variables of the caller that submitted the task, so the span of a
    solve is a child of the span that was current there.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer("captchahub", __version__, tracer_provider)
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        """Forget all spans. A forked child must not end those of its parent."""
        self._spans = Spans()
        # Each hub calls observers in a thread of its own.
        self._lock = threading.Lock()

    def note(self, event: Event) -> None:
        """Trace an event. Events that belong to no solve are ignored."""
        if isinstance(event, SolveEvent):
            with self._lock:
                self._note(event)

    @singledispatchmethod
    def _note(self, event: SolveEvent) -> None:
        """Ignore events that have no method below."""

    @_note.register
    def _(self, event: Submitted) -> None:
        span = self._begin(event, event.at)
        span.set_attribute("captchahub.timeout", event.timeout)
        self._spans.open(event.solve, span)

    @_note.register
    def _(self, event: JobCreated) -> None:
        facts: dict[str, Value] = {
            "captchahub.provider": event.provider,
            "captchahub.job_id": str(event.job_id),
        }
        if event.price is not None:
            facts["captchahub.price"] = float(event.price)
        self._add(event, "captchahub.ordered", facts)

    @_note.register
    def _(self, event: FellBack | BudgetRefused) -> None:
        name = "captchahub.fell_back" if isinstance(event, FellBack) else "captchahub.budget_refused"
        error = type(event.error).__name__
        self._add(event, name, {"captchahub.provider": event.provider, "error.type": error})

    @_note.register
    def _(self, event: Attempted) -> None:
        attempt, solve = event.attempt, self._spans.of(event.solve)
        span = self._tracer.start_span(
            f"captchahub attempt {attempt.provider}",
            # If the solve is unknown, the current span, which is the caller's, becomes the parent.
            None if solve is None else with_span(solve),
            kind=SpanKind.CLIENT,
            attributes={
                **_attributes(event),
                "captchahub.provider": attempt.provider,
                "captchahub.polls": attempt.polls,
            },
            start_time=_ns(event.at - attempt.elapsed),
        )
        if attempt.job_id is not None:
            span.set_attribute("captchahub.job_id", str(attempt.job_id))
        if attempt.cost is not None:
            span.set_attribute("captchahub.cost", float(attempt.cost))
        if attempt.error is not None:
            _fail(span, attempt.error, event.at)
        span.end(_ns(event.at))

    @_note.register
    def _(self, event: Solved) -> None:
        result, span = event.result, self._ended(event, event.result.elapsed)
        span.set_attribute("captchahub.outcome", "solved")
        span.set_attribute("captchahub.provider", result.provider)
        span.set_attribute("captchahub.is_shared", result.is_shared)
        if result.job_id is not None:
            span.set_attribute("captchahub.job_id", str(result.job_id))
        if result.total_cost is not None:
            span.set_attribute("captchahub.cost", float(result.total_cost))
        span.end(_ns(event.at))

    @_note.register
    def _(self, event: Failed) -> None:
        span = self._ended(event, event.elapsed)
        span.set_attribute("captchahub.outcome", "failed")
        _fail(span, event.error, event.at)
        span.end(_ns(event.at))

    @_note.register
    def _(self, event: Cancelled) -> None:
        span = self._ended(event, event.elapsed)
        span.set_attribute("captchahub.outcome", "cancelled")
        span.end(_ns(event.at))

    def _begin(self, event: SolveEvent, at: float) -> Span:
        return self._tracer.start_span(
            f"captchahub solve {event.kind}", attributes=_attributes(event), start_time=_ns(at)
        )

    def _add(self, event: SolveEvent, name: str, facts: Mapping[str, Value]) -> None:
        span = self._spans.of(event.solve)
        if span is not None:
            span.add_event(name, facts, _ns(event.at))

    def _ended(self, event: SolveEvent, elapsed: float) -> Span:
        """Return the span of a solve that ends now, or a new one if the event of its start was lost."""
        span = self._spans.close(event.solve)
        if span is None:
            span = self._begin(event, event.at - elapsed)
            self._spans.remember(event.solve, span)
        return span


_all: WeakSet[Tracing] = WeakSet()


def _after_fork() -> None:
    for tracing in list(_all):
        # A fork has no other way to reach them.
        tracing._reset()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _attributes(event: SolveEvent) -> dict[str, Value]:
    return {"captchahub.kind": event.kind, "captchahub.solve": event.solve}


def _fail(span: Span, error: Exception, at: float) -> None:
    name = type(error).__name__
    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR, f"{name}: {error}"))
    span.record_exception(error, timestamp=_ns(at))


def _ns(at: float) -> int:
    return round(at * 1e9)
