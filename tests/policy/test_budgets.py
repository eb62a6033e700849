"""The amounts of the ledger, the periods of budgets, and what does not fit into one."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from captchahub._policy.accounting import SLOT, from_units, slot_of, to_units
from captchahub._policy.budgets import BudgetScope, period_of, refusal_of
from captchahub.errors import BudgetExceeded
from captchahub.settings import Budget, Period

amounts = st.decimals(0, 10**9, allow_nan=False, allow_infinity=False)
# Each changes its clocks in a way of its own: at two, by half an hour, at midnight forwards, at midnight
# backwards, at a quarter to three, never.
ZONES = [
    ZoneInfo(name)
    for name in (
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "America/Santiago",
        "America/Havana",
        "Pacific/Chatham",
        "Asia/Kathmandu",
    )
]
zones = st.sampled_from(ZONES)
moments = st.integers(int(datetime(2012, 1, 1, tzinfo=UTC).timestamp()), 2_100_000_000)
periods = st.sampled_from([Period.HOUR, Period.DAY, Period.MONTH])


def budget(per: Period, zone: tzinfo = UTC, limit: str = "5") -> Budget:
    return Budget(Decimal(limit), per, zone)


def at(text: str, zone: tzinfo = UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


class TestAmounts:
    @given(amounts)
    @example(Decimal("0.00000000100000000000000000000000000000000000001"))
    @example(Decimal("999999999.9999999999999999999999999999"))
    def test_they_are_rounded_up_to_the_next_billionth(self, amount: Decimal) -> None:
        exact = Fraction(amount) * 10**9
        assert exact <= to_units(amount) < exact + 1

    def test_the_smallest_amount_is_rounded_up_too(self) -> None:
        assert to_units(Decimal("1E-999999")) == 1

    @given(st.integers(0, 10**18))
    def test_units_are_converted_back_exactly(self, units: int) -> None:
        assert to_units(from_units(units)) == units

    @pytest.mark.parametrize("text", ["0", "5", "100", "0.00045", "12.5"])
    def test_they_have_no_needless_zeros(self, text: str) -> None:
        assert str(from_units(to_units(Decimal(text + ("0" if "." in text else ".0"))))) == text

    @pytest.mark.parametrize("text", ["1E+999999", "1000000001", "Infinity"])
    def test_more_than_a_billion_counts_as_a_billion(self, text: str) -> None:
        assert from_units(to_units(Decimal(text))) == 10**9

    @pytest.mark.parametrize("text", ["NaN", "sNaN", "-0.01", "-Infinity"])
    def test_an_amount_below_zero_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="an amount of money is 0 or more"):
            to_units(Decimal(text))


def shown(per: Period, zone: tzinfo, moment: float) -> tuple[object, ...]:
    """What a clock and a calendar in the zone show of the period."""
    there = datetime.fromtimestamp(moment, zone)
    if per is Period.MONTH:
        return there.year, there.month
    hour = (there.hour, there.utcoffset()) if per is Period.HOUR else ()
    return there.date(), *hour


class TestPeriods:
    @given(periods, zones, moments)
    def test_a_period_is_all_the_time_that_shows_the_same_hour_day_or_month(
        self, per: Period, zone: ZoneInfo, moment: int
    ) -> None:
        begin, end = period_of(budget(per, zone), moment)
        assert end is not None
        assert begin <= moment < end
        inside = {shown(per, zone, each) for each in (begin, moment, end - 1)}
        assert len(inside) == 1
        assert not inside & {shown(per, zone, each) for each in (begin - 1, end)}

    @given(periods, zones | st.just(timezone(timedelta(minutes=7))), moments)
    def test_every_time_is_in_exactly_one_period(self, per: Period, zone: tzinfo, moment: int) -> None:
        begin, end = period_of(budget(per, zone), moment)
        assert end is not None
        assert period_of(budget(per, zone), begin) == (begin, end)
        assert period_of(budget(per, zone), end - 1) == (begin, end)
        assert period_of(budget(per, zone), begin - 1)[1] == begin
        assert period_of(budget(per, zone), end)[0] == end
        assert begin == slot_of(begin)
        assert end == slot_of(end)

    @pytest.mark.parametrize(
        ("day", "zone", "hours"),
        [
            ("2025-03-29", "Europe/Berlin", 24),
            ("2025-03-30", "Europe/Berlin", 23),
            ("2025-10-26", "Europe/Berlin", 25),
            ("2025-04-06", "Australia/Lord_Howe", 24.5),
            ("2025-10-05", "Australia/Lord_Howe", 23.5),
            ("2025-09-07", "America/Santiago", 23),
            ("2025-04-05", "America/Santiago", 25),
            ("2025-11-02", "America/Havana", 25),
        ],
    )
    def test_a_day_is_as_long_as_its_clocks_make_it(self, day: str, zone: str, hours: float) -> None:
        noon = at(f"{day}T12:00", ZoneInfo(zone))
        begin, end = period_of(budget(Period.DAY, ZoneInfo(zone)), noon)
        assert end is not None
        assert (end - begin) / 3600 == hours

    def test_an_hour_comes_twice_if_clocks_are_set_back(self) -> None:
        zone = ZoneInfo("Europe/Berlin")
        first = period_of(budget(Period.HOUR, zone), at("2025-10-26T02:30", zone))
        assert first == (at("2025-10-26T00:00"), at("2025-10-26T01:00"))
        second = period_of(budget(Period.HOUR, zone), at("2025-10-26T01:30"))
        assert second == (at("2025-10-26T01:00"), at("2025-10-26T02:00"))

    def test_the_day_begins_with_the_first_midnight_if_there_are_two(self) -> None:
        zone = ZoneInfo("America/Havana")
        begin = at("2025-11-02T04:00")
        slots = [begin + SLOT * number for number in range(25 * 4)]
        assert {period_of(budget(Period.DAY, zone), slot) for slot in slots} == {(begin, begin + 25 * 3600)}

    def test_the_day_begins_at_one_if_there_is_no_midnight(self) -> None:
        zone = ZoneInfo("Africa/Cairo")
        begin, _ = period_of(budget(Period.DAY, zone), at("2025-04-25T12:00", zone))
        assert datetime.fromtimestamp(begin, zone).isoformat() == "2025-04-25T01:00:00+03:00"

    def test_a_month_is_that_of_the_zone(self) -> None:
        zone = ZoneInfo("Europe/Berlin")
        begin, end = period_of(budget(Period.MONTH, zone), at("2025-02-28T22:59"))
        assert (begin, end) == (at("2025-01-31T23:00"), at("2025-02-28T23:00"))
        assert period_of(budget(Period.MONTH, zone), at("2025-02-28T23:00"))[0] == end

    def test_a_total_never_ends(self) -> None:
        assert period_of(budget(Period.TOTAL), at("2025-02-28T23:00")) == (0, None)


class TestRefusals:
    def refused(self, limit: Budget, spent: str, price: str) -> BudgetExceeded:
        now = at("2025-10-26T12:00", limit.zone)
        refusal = refusal_of(BudgetScope("omo", "omo", limit), to_units(Decimal(spent)), Decimal(price), now)
        assert refusal is not None
        return refusal

    @given(amounts, amounts, amounts)
    @example(limit=Decimal(1), spent=Decimal(2), price=Decimal(0))
    def test_a_job_fits_if_it_is_free_or_the_sum_is_at_most_the_limit(
        self, limit: Decimal, spent: Decimal, price: Decimal
    ) -> None:
        units = to_units(spent)
        refusal = refusal_of(BudgetScope("omo", "omo", Budget(limit, Period.DAY)), units, price, 0.0)
        fits = units + to_units(price) <= Fraction(limit) * 10**9
        assert (refusal is None) == (price == 0 or fits)

    def test_the_message_has_the_budget_what_is_spent_and_the_next_period(self) -> None:
        refusal = self.refused(budget(Period.DAY, ZoneInfo("Europe/Berlin")), "4.9996", "0.00045")
        assert str(refusal) == (
            "the budget of omo, 5 per day, has no room for 0.00045: 4.9996 of it is spent; "
            "the next period begins at 2025-10-27 00:00+01:00"
        )
        assert (refusal.budget, refusal.limit, refusal.spent) == ("omo", Decimal(5), Decimal("4.9996"))
        assert refusal.frees == datetime(2025, 10, 26, 23, tzinfo=UTC)

    def test_a_total_has_no_next_period(self) -> None:
        refusal = self.refused(budget(Period.TOTAL), "5", "1")
        assert refusal.frees is None
        assert str(refusal) == "the budget of omo, 5 in total, has no room for 1: 5 of it is spent"

    def test_waiting_does_not_help_if_the_price_alone_is_too_much(self) -> None:
        refusal = self.refused(budget(Period.HOUR), "0", "5.01")
        assert refusal.frees is None
        assert str(refusal) == "the price of 5.01 is more than the budget of omo, 5 per hour"

    def test_waiting_helps_if_the_price_is_the_whole_budget(self) -> None:
        refusal = self.refused(budget(Period.HOUR), "0.001", "5")
        assert refusal.frees == datetime(2025, 10, 26, 13, tzinfo=UTC)

    def test_it_can_be_pickled(self) -> None:
        refusal = self.refused(budget(Period.DAY), "5", "1")
        again = pickle.loads(pickle.dumps(refusal))
        assert (str(again), again.frees) == (str(refusal), refusal.frees)

    def test_a_slot_is_a_quarter_of_an_hour(self) -> None:
        assert slot_of(at("2025-10-26T12:44:59.999")) == at("2025-10-26T12:30")
        assert slot_of(-0.5) == -SLOT
