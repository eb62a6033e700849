"""What a job costs: by the configuration, else by the last reply, else by the price list."""

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
    def test_it_may_be_unknown(self) -> None:
        assert Prices({}).of(TEXT) is None

    def test_it_is_the_configured_price(self) -> None:
        assert Prices({TEXT: Decimal("0.002")}).of(TEXT) == Decimal("0.002")

    def test_it_is_the_price_of_the_list(self) -> None:
        prices = Prices({})
        prices.take_list([line(TEXT, "0.0005"), line(SLIDE, "0.0012")], now=0)
        assert prices.of(TEXT) == Decimal("0.0005")
        assert prices.of(SLIDE) == Decimal("0.0012")

    def test_it_is_the_cost_that_a_reply_stated(self) -> None:
        prices = Prices({})
        prices.take_charge(TEXT, Decimal("0.001"))
        prices.take_charge(TEXT, Decimal("0.0007"))
        assert prices.of(TEXT) == Decimal("0.0007")
        assert prices.of(SLIDE) is None

    def test_the_configuration_goes_before_a_reply_and_a_reply_before_the_list(self) -> None:
        prices = Prices({TEXT: Decimal(1)})
        for kind in (TEXT, SLIDE):
            prices.take_charge(kind, Decimal(2))
        prices.take_list([line(kind, "3") for kind in (TEXT, SLIDE, "pick-cells")], now=0)
        kinds = (TEXT, SLIDE, "pick-cells", "odd")
        assert [prices.of(kind) for kind in kinds] == [1, 2, 3, None]
        assert [prices.source_of(kind) for kind in kinds] == ["configuration", "reply", "list", None]

    def test_zero_is_a_price(self) -> None:
        prices = Prices({TEXT: Decimal(0)})
        prices.take_charge(SLIDE, Decimal(0))
        prices.take_list([line(TEXT, "2"), line(SLIDE, "3")], now=0)
        assert [prices.of(kind) for kind in (TEXT, SLIDE)] == [0, 0]

    def test_a_local_engine_costs_nothing_unless_configured(self) -> None:
        prices = Prices({TEXT: Decimal("0.1")}, otherwise=Decimal(0))
        assert [prices.of(kind) for kind in (TEXT, SLIDE)] == [Decimal("0.1"), 0]


class TestList:
    @pytest.mark.parametrize(
        "useless", [line(kind=None), line(price=None), line(is_open=False)], ids=["kind", "price", "closed"]
    )
    def test_a_line_without_a_kind_or_a_price_or_that_is_closed_is_ignored(self, useless: Service) -> None:
        prices = Prices({})
        prices.take_list([useless], now=0)
        assert prices.of(TEXT) is None

    @pytest.mark.parametrize("is_open", [True, None])
    def test_a_line_is_open_unless_it_says_otherwise(self, is_open: bool | None) -> None:
        prices = Prices({})
        prices.take_list([line(is_open=is_open)], now=0)
        assert prices.of(TEXT) == Decimal("0.0005")

    def test_a_closed_line_removes_the_price_of_an_earlier_reply(self) -> None:
        prices = Prices({})
        prices.take_charge(TEXT, Decimal("0.0005"))
        prices.take_list([line(is_open=False)], now=0)
        assert prices.of(TEXT) is None

    def test_a_new_list_replaces_the_old_one(self) -> None:
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

    def test_not_if_all_other_kinds_have_a_price(self) -> None:
        assert not Prices({}, otherwise=Decimal(0)).wants_list(TEXT, now=0)

    def test_again_after_an_hour(self) -> None:
        prices = Prices({})
        prices.take_list([line()], now=1000)
        assert not prices.wants_list(TEXT, now=1000 + HOUR - 1)
        assert prices.wants_list(TEXT, now=1000 + HOUR)

    def test_not_sooner_for_a_kind_that_is_missing_in_the_list(self) -> None:
        prices = Prices({})
        prices.take_list([line(TEXT)], now=1000)
        assert not prices.wants_list(SLIDE, now=1001)

    def test_five_minutes_after_there_was_none(self) -> None:
        prices = Prices({})
        prices.has_no_list(now=1000)
        assert not prices.wants_list(TEXT, now=1000 + FIVE_MINUTES - 1)
        assert prices.wants_list(TEXT, now=1000 + FIVE_MINUTES)

    def test_after_a_growing_pause_if_reading_failed(self) -> None:
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
    def test_a_job_without_a_price_does(self) -> None:
        prices = Prices({SLIDE: Decimal(1)})
        assert prices.needs_list(TEXT, now=0)
        assert not prices.needs_list(SLIDE, now=0)

    def test_not_for_a_second_after_reading_failed(self) -> None:
        prices, error = Prices({}), ServiceUnavailable("down")
        prices.has_no_list(100, error)
        assert not prices.needs_list(TEXT, now=100.5)
        assert prices.fresh_error(100.5) is error
        assert prices.needs_list(TEXT, now=102)
        assert prices.fresh_error(102) is None

    def test_not_soon_after_a_fault_of_the_plugin(self) -> None:
        prices, fault = Prices({}), PluginFault("broken")
        prices.has_no_list(100, fault)
        assert prices.fresh_error(100 + FIVE_MINUTES - 1) is fault
        assert not prices.wants_list(TEXT, now=100 + FIVE_MINUTES - 1)
        assert prices.needs_list(TEXT, now=101 + FIVE_MINUTES)

    def test_not_if_the_service_has_no_list(self) -> None:
        prices = Prices({})
        prices.has_no_list(now=100)
        assert not prices.needs_list(TEXT, now=110)
        assert prices.fresh_error(100) is None

    def test_not_if_the_list_was_read_and_misses_the_kind(self) -> None:
        prices = Prices({})
        prices.take_list([line(SLIDE)], now=100)
        assert not prices.needs_list(TEXT, now=110)

    def test_the_old_list_is_valid_while_there_is_no_new_one(self) -> None:
        prices = Prices({})
        prices.take_list([line()], now=1000)
        prices.has_no_list(now=1000 + HOUR)
        assert prices.of(TEXT) == Decimal("0.0005")
