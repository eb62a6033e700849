"""What the records of a batch add up to."""

from decimal import Decimal

import pytest

from captchahub.cli.batch.summary import summary, totals_fields
from captchahub.cli.batch.totals import Record, Totals, done_of, failure_of

BUSY = {"type": "ServiceUnavailable", "message": "busy"}


def attempt(cost: str | None, error: Record | None = None) -> Record:
    return {"provider": "omo", "cost": cost, "error": error}


def totals_of(*records: Record) -> Totals:
    totals = Totals(len(records))
    for number, record in enumerate(records):
        totals.add(f"{number}.png", done_of(record))
    return totals


@pytest.mark.parametrize(
    ("record", "cost", "unpriced"),
    [
        ({"total_cost": "0.5", "attempts": [attempt("0.5")]}, "0.5", 0),
        ({"total_cost": None, "attempts": [attempt("0.5", BUSY), attempt(None), attempt(None)]}, "0.5", 2),
        ({"total_cost": ""}, "0", 1),
        ({"total_cost": "0", "error": {"type": "TaskError", "message": "not a picture"}}, "0", 0),
    ],
)
def test_only_jobs_without_a_known_price_count_as_unpriced(record: Record, cost: str, unpriced: int) -> None:
    totals = totals_of(record)
    assert (totals.spent, totals.unpriced) == (Decimal(cost), unpriced)


def test_a_total_names_the_jobs_that_it_can_not_contain() -> None:
    totals = totals_of({"total_cost": "0.00165"}, {"total_cost": ""}, {"total_cost": ""})
    assert "\n0.00165 spent, and 2 jobs without a known price, in all runs of this batch\n" in summary(
        totals, 1.0
    )
    assert totals_fields(totals, 1.0)["unpriced"] == 2


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        (["ServiceUnavailable", "NotAsked"], "ServiceUnavailable"),
        (["ServiceUnavailable", "JobTimeout"], "JobTimeout"),
        (["NotAsked"], "NotAsked"),
        ([], "AllProvidersFailed"),
    ],
)
def test_the_class_of_a_failure_is_that_of_the_last_call(errors: list[str], kind: str) -> None:
    attempts = [attempt("0", {"type": name, "message": "why"}) for name in errors]
    failure = failure_of({"error": {"type": "AllProvidersFailed", "message": "no"}, "attempts": attempts})
    assert failure == (kind, "; ".join(["no", *["omo: why"] * len(errors)]))


def test_failures_are_counted_by_class_with_the_first_one_as_example() -> None:
    totals = totals_of(
        {"total_cost": "0", "error": "JobFailed: no; omo: unreadable"},
        {"total_cost": "0", "error": "JobFailed: no; omo: too dark"},
        {"total_cost": "0", "error": ""},
    )
    assert (totals.failed, dict(totals.errors)) == (2, {"JobFailed": 2})
    assert totals.examples == {"JobFailed": "0.png: no; omo: unreadable"}
