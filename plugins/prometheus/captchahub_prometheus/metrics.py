"""The metrics, and how events change them.

Labels are names from the configuration, kinds of task, and classes of captchahub's errors. They are never a
job id, a text of a service, or anything else of which there is no limited number.
"""

from __future__ import annotations

import threading
from functools import singledispatchmethod
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Histogram

from captchahub import Attempt, CaptchaHubError
from captchahub.events import (
    Attempted,
    BudgetRefused,
    Cancelled,
    Event,
    Failed,
    FellBack,
    Polled,
    Solved,
    SolveEvent,
)
from captchahub.extending import HubStatus
from captchahub_prometheus.gauges import Gauges

__all__ = ["Metrics", "metrics_in"]

# In seconds. Services take a few seconds for a text and up to a minute for a screenshot; two minutes is a
# common time limit of a solve.
_BUCKETS = (0.25, 0.5, 1, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300)
_OURS = CaptchaHubError.__module__


class Metrics:
    """The metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"captchahub_{name}", what, labels, registry=registry)

        def seconds(name: str, what: str, *labels: str) -> Histogram:
            return Histogram(f"captchahub_{name}", what, labels, buckets=_BUCKETS, registry=registry)

        solve, at_provider = ("kind", "outcome"), ("provider", "kind")
        attempt = (*at_provider, "outcome")
        self._solves = counter("solves_total", "Solves that ended.", *solve)
        self._solve_seconds = seconds("solve_duration_seconds", "How long solves took.", *solve)
        self._attempts = counter("attempts_total", "Attempts that ended.", *attempt)
        self._attempt_seconds = seconds("attempt_duration_seconds", "How long attempts took.", *attempt)
        self._polls = counter("polls_total", "Polls of jobs.", *at_provider)
        self._cost = counter(
            "cost_total", "What attempts cost, in the provider's currency, where known.", *at_provider
        )
        self._fallbacks = counter(
            "fallbacks_total",
            "Solves that continued with other providers.",
            *at_provider,
            "error",
        )
        self._refusals = counter(
            "budget_refusals_total",
            "Jobs that were not created because of a budget.",
            *at_provider,
            "error",
        )
        self._unknown_costs = counter(
            "unknown_costs_total",
            "Attempts whose cost is unknown, so that it is missing there.",
            *at_provider,
        )
        self._gauges = Gauges(registry)

    def watch(self, hub: HubStatus) -> None:
        """Show the state of a hub, from now on and as long as it exists."""
        self._gauges.watch(hub)

    def note(self, event: Event) -> None:
        """Count an event, and read the state of the hubs again, which it may have changed."""
        self._count(event)
        self._gauges.refresh()

    @singledispatchmethod
    def _count(self, event: Event) -> None:
        """Count an event. Events that have no method below are ignored."""

    @_count.register
    def _(self, event: Solved) -> None:
        self._note_solve(event, "shared" if event.result.is_shared else "solved", event.result.elapsed)

    @_count.register
    def _(self, event: Failed) -> None:
        self._note_solve(event, _class_of(event.error), event.elapsed)

    @_count.register
    def _(self, event: Cancelled) -> None:
        self._note_solve(event, "cancelled", event.elapsed)

    @_count.register
    def _(self, event: Attempted) -> None:
        attempt = event.attempt
        labels = (attempt.provider, event.kind, _outcome_of(attempt))
        self._attempts.labels(*labels).inc()
        self._attempt_seconds.labels(*labels).observe(attempt.elapsed)
        # The cost is negative if a service says that it refunded something, but counters cannot go down.
        if attempt.cost is not None and attempt.cost > 0:
            self._cost.labels(attempt.provider, event.kind).inc(float(attempt.cost))
        if attempt.cost is None:
            self._unknown_costs.labels(attempt.provider, event.kind).inc()

    @_count.register
    def _(self, event: Polled) -> None:
        self._polls.labels(event.provider, event.kind).inc()

    @_count.register
    def _(self, event: FellBack) -> None:
        self._fallbacks.labels(event.provider, event.kind, _class_of(event.error)).inc()

    @_count.register
    def _(self, event: BudgetRefused) -> None:
        self._refusals.labels(event.provider, event.kind, _class_of(event.error)).inc()

    def _note_solve(self, event: SolveEvent, outcome: str, elapsed: float) -> None:
        self._solves.labels(event.kind, outcome).inc()
        self._solve_seconds.labels(event.kind, outcome).observe(elapsed)


_LOCK = threading.Lock()
_KNOWN: WeakKeyDictionary[CollectorRegistry, Metrics] = WeakKeyDictionary()


def metrics_in(registry: CollectorRegistry) -> Metrics:
    """Return the metrics of a registry. All hubs share them, because a name can be registered only once."""
    known = _KNOWN.get(registry)
    if known is not None:
        # Without the lock, because a child that was forked while it was held would find it locked forever.
        return known
    with _LOCK:
        if registry not in _KNOWN:
            _KNOWN[registry] = Metrics(registry)
        return _KNOWN[registry]


def _outcome_of(attempt: Attempt) -> str:
    return "solved" if attempt.error is None else _class_of(attempt.error)


def _class_of(error: Exception) -> str:
    """Return the nearest class of captchahub itself, because plugins may define any number of others."""
    ours = (one.__name__ for one in type(error).__mro__ if one.__module__ == _OURS)
    return next(ours, "Exception")
