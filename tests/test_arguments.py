"""What is said to callers who pass something else than they should."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from captchahub._arguments import (
    checked_cost,
    checked_job,
    checked_limit,
    checked_since,
    checked_state,
    checked_zone,
)
from captchahub.jobs import JobState


@pytest.mark.parametrize(
    ("check", "value", "told"),
    [
        (checked_state, "ambiguous", "state must be a JobState, such as JobState.AMBIGUOUS, not 'ambiguous'"),
        (checked_job, 7, r"job must be one of those that hub.jobs\(\) gives, not 7"),
        (checked_cost, 0.1, r"cost must be a Decimal, such as Decimal\('0.0005'\), or None, not 0.1"),
        (checked_zone, "UTC", r"zone must be a tzinfo, such as ZoneInfo\('Europe/Berlin'\), not 'UTC'"),
        (checked_since, "today", r"since must be a datetime, such as datetime.now\(UTC\), not 'today'"),
    ],
)
def test_another_type_is_told_with_the_right_one(
    check: Callable[[object], object], value: object, told: str
) -> None:
    with pytest.raises(TypeError, match=told):
        check(value)


@pytest.mark.parametrize(
    ("check", "value", "told"),
    [
        *[(checked_limit, value, "limit must be a whole number from 1") for value in (0, -1, 1.5, "5", True)],
        *[
            (checked_cost, Decimal(text), "cost must be an amount of 0 or more")
            for text in ("-1", "NaN", "inf")
        ],
        (checked_since, datetime.min, "since must be a time that clocks can show"),  # noqa: DTZ901 - on purpose
    ],
)
def test_so_is_a_value_that_can_not_be(check: Callable[[object], object], value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check(value)


def test_all_else_is_given_back() -> None:
    assert checked_state(JobState.SOLVED) is JobState.SOLVED
    assert (checked_limit(5), checked_limit(10**30)) == (5, 2**63 - 1)
    assert (checked_cost(None), checked_cost(Decimal("0.1"))) == (None, Decimal("0.1"))
    assert checked_zone(UTC) is UTC
    assert (checked_since(None), checked_since(datetime(1970, 1, 2, tzinfo=UTC))) == (0.0, 86_400.0)
