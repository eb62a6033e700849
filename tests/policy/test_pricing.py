"""What a job costs: as configured, else as the service's list says, else as it charged last."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from captchahub import PluginFault, Service, ServiceUnavailable
from captchahub._policy.pricing import Prices

TEXT, SLIDE = "image-to-text", "phone-slide"
HOUR, FIVE_MINUTES = 3600.0, 300.0


def line(kind: str | None = TEXT, price: str | None = "0.0005", **more: Any) -> Service:
    return Service("7", "a service", kind, None if price is None else Decimal(price), **more)


class TestOf:
    def test_nobody_said_it(self) -> None:
        assert Prices({}).of(TEXT) is None

    def test_it_is_as_configured(self) -> None:
        assert Prices({TEXT: Decimal("0.002")}).of(TEXT) == Decimal("0.002")

    def test_it_is_as_the_list_says(self) -> None:
        prices = Prices({})
        prices.take_list([line(TEXT, "0.0005"), line(SLIDE, "0.0012")], now=0)
        assert prices.of(TEXT) == Decimal("0.0005")
        assert prices.of(SLIDE) == Decimal("0.0012")

    def test_it_is_what_a_job_has_cost(self) -> None:
        prices = Prices({})
        prices.take_charge(TEXT, Decimal("0.001"))
        prices.take_charge(TEXT, Decimal("0.0007"))
        assert prices.of(TEXT) == Decimal("0.0007")
        assert prices.of(SLIDE) is None

    def test_what_is_configured_goes_before_what_was_charged_and_that_before_the_list(self) -> None:
        prices = Prices({TEXT: Decimal(1)})
        for kind in (TEXT, SLIDE):
            prices.take_charge(kind, Decimal(2))
        prices.take_list([line(kind, "3") for kind in (TEXT, SLIDE, "pick-cells")], now=0)
        kinds = (TEXT, SLIDE, "pick-cells", "odd")
        assert [prices.of(kind) for kind in kinds] == [1, 2, 3, None]
        assert [prices.source_of(kind) for kind in kinds] == ["configuration", "reply", "list", None]

    def test_a_price_of_zero_is_one(self) -> None:
        prices = Prices({TEXT: Decimal(0)})
        prices.take_charge(SLIDE, Decimal(0))
        prices.take_list([line(TEXT, "2"), line(SLIDE, "3")], now=0)
        assert [prices.of(kind) for kind in (TEXT, SLIDE)] == [0, 0]

    def test_an_engine_of_ones_own_costs_nothing_where_nothing_else_is_said(self) -> None:
        prices = Prices({TEXT: Decimal("0.1")}, otherwise=Decimal(0))
        assert [prices.of(kind) for kind in (TEXT, SLIDE)] == [Decimal("0.1"), 0]


class TestList:
    @pytest.mark.parametrize(
        "useless", [line(kind=None), line(price=None), line(is_open=False)], ids=["kind", "price", "closed"]
    )
    def test_a_line_without_a_kind_or_a_price_or_that_is_closed_says_nothing(self, useless: Service) -> None:
        prices = Prices({})
        prices.take_list([useless], now=0)
        assert prices.of(TEXT) is None

    @pytest.mark.parametrize("is_open", [True, None])
    def test_what_is_not_said_to_be_closed_is_open(self, is_open: bool | None) -> None:
        prices = Prices({})
        prices.take_list([line(is_open=is_open)], now=0)
        assert prices.of(TEXT) == Decimal("0.0005")

    def test_what_is_closed_now_has_no_price_either_that_it_once_charged(self) -> None:
        prices = Prices({})
        prices.take_charge(TEXT, Decimal("0.0005"))
        prices.take_list([line(is_open=False)], now=0)
        assert prices.of(TEXT) is None

    def test_a_new_list_is_all_that_counts(self) -> None:
        prices = Prices({})
        prices.take_list([line(TEXT), line(SLIDE)], now=0)
        prices.take_list([line(SLIDE, "0.002")], now=HOUR)
        assert prices.of(TEXT) is None
        assert prices.of(SLIDE) == Decimal("0.002")


class TestWantsList:
    def test_at_first(self) -> None:
        assert Prices({}).wants_list(TEXT, now=0)

    def test_not_for_a_price_that_is_configured(self) -> None:
        prices = Prices({TEXT: Decimal(0)})
        assert not prices.wants_list(TEXT, now=0)
        assert prices.wants_list(SLIDE, now=0)

    def test_not_where_everything_has_a_price(self) -> None:
        assert not Prices({}, otherwise=Decimal(0)).wants_list(TEXT, now=0)

    def test_again_after_an_hour(self) -> None:
        prices = Prices({})
        prices.take_list([line()], now=1000)
        assert not prices.wants_list(TEXT, now=1000 + HOUR - 1)
        assert prices.wants_list(TEXT, now=1000 + HOUR)

    def test_a_kind_that_is_not_on_the_list_is_not_asked_for_any_sooner(self) -> None:
        prices = Prices({})
        prices.take_list([line(TEXT)], now=1000)
        assert not prices.wants_list(SLIDE, now=1001)

    def test_five_minutes_after_there_was_none_to_be_had(self) -> None:
        prices = Prices({})
        prices.has_no_list(now=1000)
        assert not prices.wants_list(TEXT, now=1000 + FIVE_MINUTES - 1)
        assert prices.wants_list(TEXT, now=1000 + FIVE_MINUTES)

    def test_ever_later_after_failures_which_may_pass(self) -> None:
        prices, pauses = Prices({}), list[int]()
        for _ in range(12):
            prices.has_no_list(0, ServiceUnavailable("down"))
            pauses.append(next(second for second in range(1000) if prices.wants_list(TEXT, second)))
        assert pauses[:4] == [1, 2, 4, 8]
        assert pauses[-1] == FIVE_MINUTES
        prices.take_list([line()], now=0)
        prices.has_no_list(0, ServiceUnavailable("down"))
        assert prices.wants_list(TEXT, now=1)


class TestNeedsList:
    def test_an_order_without_a_price_does(self) -> None:
        prices = Prices({SLIDE: Decimal(1)})
        assert prices.needs_list(TEXT, now=0)
        assert not prices.needs_list(SLIDE, now=0)

    def test_not_for_a_moment_after_it_was_asked_for_in_vain(self) -> None:
        prices, error = Prices({}), ServiceUnavailable("down")
        prices.has_no_list(100, error)
        assert not prices.needs_list(TEXT, now=100.5)
        assert prices.fresh_error(100.5) is error
        assert prices.needs_list(TEXT, now=102)
        assert prices.fresh_error(102) is None

    def test_not_soon_where_the_plugin_cannot_read_it(self) -> None:
        prices, fault = Prices({}), PluginFault("broken")
        prices.has_no_list(100, fault)
        assert prices.fresh_error(100 + FIVE_MINUTES - 1) is fault
        assert not prices.wants_list(TEXT, now=100 + FIVE_MINUTES - 1)
        assert prices.needs_list(TEXT, now=101 + FIVE_MINUTES)

    def test_not_where_the_service_has_none(self) -> None:
        prices = Prices({})
        prices.has_no_list(now=100)
        assert not prices.needs_list(TEXT, now=110)
        assert prices.fresh_error(100) is None

    def test_not_where_it_was_read_and_says_nothing_of_the_kind(self) -> None:
        prices = Prices({})
        prices.take_list([line(SLIDE)], now=100)
        assert not prices.needs_list(TEXT, now=110)

    def test_while_there_is_none_to_be_had_the_old_one_is_still_believed(self) -> None:
        prices = Prices({})
        prices.take_list([line()], now=1000)
        prices.has_no_list(now=1000 + HOUR)
        assert prices.of(TEXT) == Decimal("0.0005")
