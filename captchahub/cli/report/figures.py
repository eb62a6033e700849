"""What a report says, computed from the jobs and the ledger of a journal. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from statistics import quantiles

import attrs

from captchahub.jobs import JobEntry, JobState, Spend

__all__ = ["DayFigures", "Figures", "Latency", "figures_of"]

_FAILED = frozenset({JobState.FAILED, JobState.EXPIRED, JobState.REFUSED})

_OPEN = frozenset({JobState.INTENT, JobState.CREATED, JobState.AMBIGUOUS})

# A chart shows no more points than this for each provider; a distribution looks the same with more.
_MOST_POINTS = 1000


# Jobs that lie closer together are shown by hour, because two days are two bars that show no course.
_HOURS_UP_TO = timedelta(hours=48)


@attrs.define
class DayFigures:
    """The jobs of one day, or of one hour of it, at one provider, and what they cost."""

    day: date
    provider: str
    solved: int = 0
    failed: int = 0
    open: int = 0
    spent: dict[str | None, Decimal] = attrs.field(factory=dict[str | None, Decimal])
    """By currency."""
    unpriced: Counter[str | None] = attrs.field(factory=Counter[str | None])
    """How many jobs ``spent`` does not contain, because they have no known price, by currency."""
    hour: int | None = None
    """The hour of the day from 0 to 23, or None for the whole day."""

    def count(self, job: JobEntry) -> None:
        """Count a job by its state."""
        if job.state is JobState.SOLVED:
            self.solved += 1
        elif job.state in _FAILED:
            self.failed += 1
        elif job.state in _OPEN:
            self.open += 1

    def add(self, currency: str | None, amount: Decimal) -> None:
        """Add an amount to what was spent."""
        self.spent[currency] = self.spent.get(currency, Decimal(0)) + amount


@attrs.frozen
class Latency:
    """How long the solved jobs of a provider took, in seconds."""

    jobs: int
    median: float
    p90: float
    p95: float
    longest: float
    sample: Sequence[float]
    """Durations in ascending order: all of them, or as many evenly spaced ones as a chart shows."""


@attrs.frozen
class Figures:
    """The figures of a report. ``errors`` counts failed jobs by provider and class of the error.

    ``hours`` are the same figures by hour if all jobs lie within 48 hours, and else empty.
    """

    days: Sequence[DayFigures]
    latencies: Mapping[str, Latency]
    errors: Mapping[tuple[str, str], int]
    hours: Sequence[DayFigures] = ()

    @property
    def providers(self) -> Sequence[str]:
        """The names of the providers, in alphabetical order."""
        return sorted({one.provider for one in self.days})

    def count(self, what: str, provider: str | None = None) -> int:
        """Return how many jobs are ``solved``, ``failed`` or ``open``, at one provider or at all."""
        return sum(getattr(one, what) for one in self.days if provider in (None, one.provider))

    def success_rate(self, provider: str | None = None) -> float | None:
        """Return the share of solved jobs among those that ended, or None if none has ended."""
        solved, failed = self.count("solved", provider), self.count("failed", provider)
        return solved / (solved + failed) if solved + failed else None

    def spent(self, provider: str | None = None) -> Mapping[str | None, Decimal]:
        """Return what was spent, by currency."""
        total: dict[str | None, Decimal] = {}
        for one in self.days:
            if provider in (None, one.provider):
                for currency, amount in one.spent.items():
                    total[currency] = total.get(currency, Decimal(0)) + amount
        return total

    def unpriced(self, provider: str | None = None) -> int:
        """Return how many jobs have no known price, so that ``spent`` does not contain them."""
        return sum(one.unpriced.total() for one in self.days if provider in (None, one.provider))


def figures_of(jobs: Sequence[JobEntry], spends: Sequence[Spend], zone: tzinfo) -> Figures:
    """Return the figures of these jobs; days are those of the time zone."""
    days: dict[tuple[date, str], DayFigures] = {}

    def of(day: date, provider: str) -> DayFigures:
        return days.setdefault((day, provider), DayFigures(day, provider))

    durations: defaultdict[str, list[float]] = defaultdict(list)
    errors: Counter[tuple[str, str]] = Counter()
    for job in jobs:
        of(datetime.fromtimestamp(job.ordered_at, zone).date(), job.provider).count(job)
        if job.state is JobState.SOLVED:
            durations[job.provider].append(job.updated_at - job.ordered_at)
        elif job.state in _FAILED:
            errors[job.provider, _error_class(job.error)] += 1
    # The ledger remembers days whose jobs the journal has forgotten; their hours are not known.
    has_all_jobs = {spend.day for spend in spends} <= {day for day, _ in days}
    hours: Sequence[DayFigures] = _hours(jobs, zone) if has_all_jobs else []
    for spend in spends:
        day = of(spend.day, spend.provider)
        day.add(spend.currency, spend.amount)
        day.unpriced[spend.currency] += spend.unpriced
    ordered = [days[key] for key in sorted(days)]
    latencies = {name: _latency(durations[name]) for name in sorted(durations)}
    return Figures(ordered, latencies, errors, hours)


def _hours(jobs: Sequence[JobEntry], zone: tzinfo) -> Sequence[DayFigures]:
    times = [job.ordered_at for job in jobs]
    if not times or max(times) - min(times) > _HOURS_UP_TO.total_seconds():
        return []
    hours: dict[tuple[date, int, str], DayFigures] = {}
    for job in jobs:
        moment = datetime.fromtimestamp(job.ordered_at, zone)
        key = moment.date(), moment.hour, job.provider
        hour = hours.setdefault(key, DayFigures(moment.date(), job.provider, hour=moment.hour))
        hour.count(job)
        hour.add(job.currency, job.charge)
    return [hours[key] for key in sorted(hours)]


def _error_class(error: str | None) -> str:
    """Return the class of an error as the journal writes it: ``ClassName: message``."""
    name, colon, _ = (error or "").partition(":")
    return name if colon and name.isidentifier() else "unknown"


def _latency(durations: list[float]) -> Latency:
    durations.sort()
    count = len(durations)
    cuts = quantiles(durations, n=20, method="inclusive") if count > 1 else durations * 19
    step = max(1, count // _MOST_POINTS)
    return Latency(count, cuts[9], cuts[17], cuts[18], durations[-1], durations[::step])
