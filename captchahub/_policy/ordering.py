"""The order in which a solve calls the providers of its route. Pure: chance is an argument."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal

from captchahub.extending import Candidate
from captchahub.settings import RouteSettings, Strategy


def default_route(kind: str, offers: Mapping[str, frozenset[str]]) -> RouteSettings:
    """Return the route of a task kind without one: all providers that offer it, in the order of the file."""
    return RouteSettings([{name: 1.0} for name, kinds in offers.items() if kind in kinds])


def order(
    route: RouteSettings, known: Callable[[str], Candidate], chance: Callable[[], float]
) -> tuple[str, ...]:
    """Return the providers of a route in the order in which this solve calls them.

    ``known`` returns what is known about a provider, ``chance`` a random number from 0 to 1.
    """
    ordered: list[str] = []
    for group in route.groups:
        match route.strategy:
            case Strategy.CHEAPEST:
                # A provider without a known price comes last, because its price may be any.
                ordered += sorted(group, key=lambda name: _or_infinite(known(name).price))
            case Strategy.FASTEST:
                # A provider without attempts comes first, because its speed would never become known.
                ordered += sorted(group, key=lambda name: known(name).seconds or 0.0)
            case Strategy.ORDERED | Strategy.BALANCED:
                ordered += _drawn(group, chance)
    return tuple(ordered)


def _or_infinite(price: Decimal | None) -> Decimal:
    return Decimal("Infinity") if price is None else price


def _drawn(group: Mapping[str, float], chance: Callable[[], float]) -> list[str]:
    """Return a group in an order drawn by weight: three times the weight is first three times as often.

    Each name draws a time from the exponential distribution with its weight as the rate, and the shortest
    time is first. That is the same as drawing one name after the other by weight. A weight of 0 draws
    infinity, so it is last.
    """
    if len(group) == 1:
        return list(group)
    times = {name: _exponential(weight, chance()) for name, weight in group.items()}
    return sorted(times, key=lambda name: times[name])


def _exponential(rate: float, chance: float) -> float:
    # Chance may be 0, whose logarithm does not exist.
    return -math.log(max(chance, 1e-300)) / rate if rate > 0 else math.inf
