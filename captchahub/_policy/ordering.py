"""The order in which the providers of a route are tried."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from captchahub.extending import Candidate
from captchahub.settings import RouteSettings, Strategy

__all__ = ["default_route", "order"]


def default_route(kind: str, offers: Mapping[str, frozenset[str]]) -> RouteSettings:
    """The route of a kind that has none: all providers that offer it, in their order."""
    return RouteSettings([{name: 1.0} for name, kinds in offers.items() if kind in kinds])


def order(
    route: RouteSettings, known: Callable[[str], Candidate], chance: Callable[[], float]
) -> tuple[str, ...]:
    """The providers of a route in the order in which this solve asks them.

    ``known`` is what is known of each; ``chance`` gives numbers from 0 to 1.
    """
    ordered = (_in_group(group, route.strategy, known, chance) for group in route.groups)
    return tuple(name for names in ordered for name in names)


def _in_group(
    group: Mapping[str, float],
    strategy: Strategy,
    known: Callable[[str], Candidate],
    chance: Callable[[], float],
) -> Iterable[str]:
    match strategy:
        case Strategy.CHEAPEST:
            # Who has no known price comes last, for it may be any.
            return sorted(group, key=lambda name: _or_infinite(known(name).price))
        case Strategy.FASTEST:
            # Who is not known yet comes first, for else nobody would ever know.
            return sorted(group, key=lambda name: known(name).seconds or 0.0)
        case Strategy.ORDERED | Strategy.BALANCED:
            return _drawn(group, chance)


def _or_infinite(price: Decimal | None) -> Decimal:
    return Decimal("Infinity") if price is None else price


def _drawn(group: Mapping[str, float], chance: Callable[[], float]) -> list[str]:
    """A group in an order drawn by weight: who has three times the weight is first three times as often.

    Each waits for a time drawn with its weight as the rate; a weight of 0 waits for ever, and comes last.
    """
    if len(group) == 1:
        return list(group)
    waits = {name: _wait(weight, chance()) for name, weight in group.items()}
    return sorted(waits, key=lambda name: waits[name])


def _wait(weight: float, chance: float) -> float:
    return -math.log(max(chance, 1e-300)) / weight if weight > 0 else math.inf
