"""The order in which the providers of a route are called."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub._policy.ordering import default_route, order
from captchahub.extending import Candidate
from captchahub.settings import RouteSettings, Strategy

TEXT, SLIDE = "image-to-text", "phone-slide"
OFFERS = {"omo": frozenset({TEXT, SLIDE}), "reader": frozenset({TEXT}), "slider": frozenset({SLIDE})}

Group = Mapping[str, float]


def one_by_one(*names: str) -> list[Group]:
    """A route of names: each is a priority of its own."""
    return [{name: 1.0} for name in names]


def together(*names: str) -> Group:
    """One priority of several, all of the same weight."""
    return dict.fromkeys(names, 1.0)


def facts(price: Decimal | None = None, seconds: float | None = None) -> Candidate:
    return Candidate("", "", price, seconds)


def ordered(route: RouteSettings, *, seed: int = 1, **known: Candidate) -> tuple[str, ...]:
    """The order of a route, with facts about some providers and none about the others."""
    return order(route, lambda name: known.get(name, facts()), Random(seed).random)


def costs(price: str) -> Candidate:
    return facts(price=Decimal(price))


def takes(seconds: float) -> Candidate:
    return facts(seconds=seconds)


class TestDefaultRoute:
    """The route of a task kind without one."""

    def test_all_that_offer_the_task_are_in_the_order_of_the_file(self) -> None:
        assert ordered(default_route(TEXT, OFFERS)) == ("omo", "reader")
        assert ordered(default_route(SLIDE, OFFERS)) == ("omo", "slider")

    def test_a_task_that_no_provider_offers_has_none(self) -> None:
        assert default_route("pick-cells", OFFERS).names == ()

    def test_it_has_no_other_rules_than_a_route_that_only_names_them(self) -> None:
        assert default_route(TEXT, OFFERS) == RouteSettings(one_by_one("omo", "reader"))


class TestOrdered:
    def test_a_route_is_kept(self) -> None:
        assert ordered(RouteSettings(one_by_one("reader", "omo"))) == ("reader", "omo")

    def test_prices_and_speeds_do_not_matter(self) -> None:
        route = RouteSettings(one_by_one("reader", "omo"))
        assert ordered(route, omo=facts(Decimal(0), 0.1)) == ("reader", "omo")

    def test_chance_is_not_used_if_there_is_nothing_to_choose(self) -> None:
        def chance() -> float:
            raise AssertionError("drawn")

        assert order(RouteSettings(one_by_one("a", "b")), lambda _: facts(), chance) == ("a", "b")

    def test_within_a_priority_the_order_is_random(self) -> None:
        route = RouteSettings([together("a", "b"), together("c", "d")])
        drawn = {ordered(route, seed=seed) for seed in range(50)}
        assert drawn == {(*one, *other) for one in permutations("ab") for other in permutations("cd")}


class TestCheapest:
    def test_the_lowest_price_is_first(self) -> None:
        route = RouteSettings([together("a", "b", "c")], Strategy.CHEAPEST)
        asked = ordered(route, a=costs("0.002"), b=costs("0.0005"), c=costs("0.001"))
        assert asked == ("b", "c", "a")

    def test_a_price_of_zero_is_the_lowest(self) -> None:
        route = RouteSettings([together("a", "b")], Strategy.CHEAPEST)
        assert ordered(route, a=costs("0.0001"), b=costs("0")) == ("b", "a")

    def test_an_unknown_price_comes_last(self) -> None:
        route = RouteSettings([together("a", "b")], Strategy.CHEAPEST)
        assert ordered(route, b=costs("1000000")) == ("b", "a")

    def test_equal_prices_keep_the_order_of_the_file(self) -> None:
        route = RouteSettings([together("b", "c", "a", "d")], Strategy.CHEAPEST)
        assert ordered(route, a=costs("1"), b=costs("1.0")) == ("b", "a", "c", "d")

    def test_a_priority_goes_before_a_price(self) -> None:
        route = RouteSettings([together("a", "b"), together("c")], Strategy.CHEAPEST)
        assert ordered(route, a=costs("2"), b=costs("1"), c=costs("0")) == ("b", "a", "c")


class TestFastest:
    def test_the_shortest_time_is_first(self) -> None:
        route = RouteSettings([together("a", "b", "c")], Strategy.FASTEST)
        assert ordered(route, a=takes(9.5), b=takes(30), c=takes(4)) == ("c", "a", "b")

    def test_an_unknown_speed_comes_first(self) -> None:
        """Otherwise it would never become known."""
        route = RouteSettings([together("a", "b")], Strategy.FASTEST)
        assert ordered(route, a=takes(0.1)) == ("b", "a")

    def test_a_provider_without_any_answer_comes_last(self) -> None:
        route = RouteSettings([together("a", "b")], Strategy.FASTEST)
        assert ordered(route, a=takes(math.inf), b=takes(1e6)) == ("b", "a")

    def test_a_priority_goes_before_speed(self) -> None:
        route = RouteSettings([together("a", "b"), together("c")], Strategy.FASTEST)
        assert ordered(route, a=takes(20), b=takes(10), c=takes(1)) == ("b", "a", "c")


class TestWeights:
    @pytest.mark.parametrize("strategy", [Strategy.ORDERED, Strategy.BALANCED])
    def test_three_times_the_weight_is_first_three_times_as_often(self, strategy: Strategy) -> None:
        route = RouteSettings([{"omo": 3.0, "spare": 1.0}], strategy)
        chance = Random(7)
        draws = 10_000
        first = Counter(order(route, lambda _: facts(), chance.random)[0] for _ in range(draws))
        # Four standard deviations to either side.
        assert first["omo"] == pytest.approx(draws * 3 / 4, abs=4 * math.sqrt(draws * 3 / 4 * 1 / 4))

    def test_the_second_is_drawn_by_weight_from_the_others(self) -> None:
        route = RouteSettings([{"a": 5.0, "b": 3.0, "c": 1.0}], Strategy.BALANCED)
        chance = Random(7)
        drawn = [order(route, lambda _: facts(), chance.random) for _ in range(10_000)]
        second = Counter(names[1] for names in drawn if names[0] == "a")
        after_a = second.total()
        assert after_a == pytest.approx(10_000 * 5 / 9, abs=200)
        assert second["b"] == pytest.approx(after_a * 3 / 4, abs=4 * math.sqrt(after_a * 3 / 4 * 1 / 4))

    def test_only_their_ratio_matters(self) -> None:
        large, small = ([{"a": 3 * size, "b": 1 * size}] for size in (1e6, 1e-6))
        for seed in range(100):
            one = ordered(RouteSettings(large, Strategy.BALANCED), seed=seed)
            assert one == ordered(RouteSettings(small, Strategy.BALANCED), seed=seed)

    def test_a_weight_of_zero_comes_last(self) -> None:
        route = RouteSettings([{"spare": 0.0, "omo": 1.0, "reader": 1e-9}, {"own": 1.0}])
        for seed in range(50):
            assert ordered(route, seed=seed)[2:] == ("spare", "own")

    def test_several_weights_of_zero_keep_their_order(self) -> None:
        route = RouteSettings([{"b": 0.0, "a": 0.0, "c": 0.0}])
        assert ordered(route) == ("b", "a", "c")

    @pytest.mark.parametrize("number", [0.0, 1.0])
    def test_chance_may_be_zero_or_one(self, number: float) -> None:
        route = RouteSettings([{"a": 1.0, "b": 0.0, "c": 3.0}])
        assert sorted(order(route, lambda _: facts(), lambda: number)) == ["a", "b", "c"]

    @given(
        st.lists(st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1e9), max_size=4), max_size=4),
        st.sampled_from(Strategy),
        st.dictionaries(
            st.sampled_from("abcdef"),
            st.builds(facts, st.none() | st.decimals(0, 9), st.none() | st.floats(0)),
        ),
        st.randoms(use_true_random=False),
    )
    def test_all_providers_are_in_the_order_of_their_priorities(
        self, groups: list[Group], strategy: Strategy, known: dict[str, Candidate], chance: Random
    ) -> None:
        asked = order(RouteSettings(groups, strategy), lambda name: known.get(name, facts()), chance.random)
        place = 0
        for group in groups:
            assert sorted(asked[place : place + len(group)]) == sorted(group)
            place += len(group)
        assert place == len(asked)
