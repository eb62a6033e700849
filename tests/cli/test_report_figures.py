"""The figures of a report, from jobs and spending."""

from datetime import UTC, date, datetime
from decimal import Decimal

import attrs

from captchahub.cli.report.figures import figures_of
from captchahub.jobs import JobEntry, JobState, Spend

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()

JOB = JobEntry(
    id=1,
    submission="s",
    state=JobState.SOLVED,
    provider="omo",
    kind="image-to-text",
    fingerprint="f",
    options={},
    job_id=7,
    price=None,
    price_source=None,
    currency=None,
    charge=Decimal(0),
    answer=None,
    error=None,
    owner=None,
    is_shared=True,
    is_by_hand=False,
    ordered_at=NOON,
    updated_at=NOON + 2,
)


def job(**changes: object) -> JobEntry:
    return attrs.evolve(JOB, **changes)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # the fields of a job


def test_jobs_are_counted_by_day_and_provider() -> None:
    failed = job(state=JobState.FAILED, error="JobFailed: unreadable", ordered_at=NOON + 86_400)
    figures = figures_of(
        [JOB, job(provider="spare", state=JobState.CREATED), failed, job(state=JobState.NOT_SENT)], [], UTC
    )
    counted = [(one.day.day, one.provider, one.solved, one.failed, one.open) for one in figures.days]
    assert counted == [(1, "omo", 1, 0, 0), (1, "spare", 0, 0, 1), (2, "omo", 0, 1, 0)]
    assert figures.errors == {("omo", "JobFailed"): 1}
    assert (figures.success_rate(), figures.success_rate("omo"), figures.success_rate("spare")) == (
        0.5,
        0.5,
        None,
    )


def test_an_error_of_another_form_has_no_class() -> None:
    errors = ["the process ended", None, "not a class: x"]
    figures = figures_of([job(state=JobState.EXPIRED, error=error) for error in errors], [], UTC)
    assert figures.errors == {("omo", "unknown"): 3}


def test_times_are_given_by_their_quantiles() -> None:
    figures = figures_of([job(updated_at=NOON + seconds) for seconds in range(101)], [], UTC)
    latency = figures.latencies["omo"]
    assert (latency.jobs, latency.median, latency.p90, latency.p95, latency.longest) == (101, 50, 90, 95, 100)
    single = figures_of([JOB], [], UTC).latencies["omo"]
    assert (single.median, single.p95, single.sample) == (2, 2, [2])


def test_a_chart_gets_a_sample_of_many_times() -> None:
    figures = figures_of([job(updated_at=NOON + seconds / 100) for seconds in range(10_000)], [], UTC)
    sample = figures.latencies["omo"].sample
    assert len(sample) <= 1000
    assert sample == sorted(sample)


def test_what_was_spent_is_kept_by_currency_also_on_days_without_jobs() -> None:
    spends = [
        Spend(date(2026, 10, 31), "omo", "image-to-text", currency, Decimal(amount), 1, unpriced=1)
        for currency, amount in (("USD", "0.5"), ("EUR", "0.25"), ("USD", "0.5"))
    ]
    figures = figures_of([JOB], spends, UTC)
    assert (figures.unpriced(), figures.unpriced("omo"), figures.unpriced("else")) == (3, 3, 0)
    assert figures.spent() == figures.spent("omo") == {"USD": Decimal(1), "EUR": Decimal("0.25")}
    assert [one.day.isoformat() for one in figures.days] == ["2026-10-31", "2026-11-01"]


def test_jobs_within_two_days_are_counted_by_hour_too() -> None:
    paid = job(ordered_at=NOON + 26 * 3600, currency="USD", charge=Decimal("0.5"))
    failed = job(ordered_at=NOON + 1800, state=JobState.FAILED, error="JobFailed: unreadable")
    figures = figures_of([JOB, failed, paid], [], UTC)
    counted = [(one.day.day, one.hour, one.solved, one.failed) for one in figures.hours]
    assert counted == [(1, 12, 1, 1), (2, 14, 1, 0)]
    assert figures.hours[1].spent == {"USD": Decimal("0.5")}


def test_figures_over_a_longer_time_have_no_hours() -> None:
    later = job(ordered_at=NOON + 48 * 3600 + 1)
    assert figures_of([JOB, later], [], UTC).hours == []
    # The jobs of that day are forgotten, but not what they cost.
    earlier = Spend(date(2026, 10, 1), "omo", "image-to-text", "USD", Decimal(1), 1)
    assert figures_of([JOB], [earlier], UTC).hours == []
