"""Whom to ask, when, for how long, and what an error allows next: pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum

from captchahub.errors import (
    AmbiguousCreate,
    BudgetExceeded,
    CaptchaHubError,
    JobTimeout,
    JournalError,
    NotAsked,
    PriceUnknown,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
    TaskError,
)
from captchahub.extending import Candidate
from captchahub.settings import Otherwise, RouteSettings, Strategy

__all__ = [
    "Next",
    "backoff",
    "default_route",
    "first_open",
    "order",
    "rules_against",
    "time_for",
    "what_next",
]

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0


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


def first_open(opens: Sequence[float | None], now: float) -> int | None:
    """The place of the first that may be asked now; ``opens`` tells from when each may be, None for never."""
    return next((place for place, at in enumerate(opens) if at is not None and at <= now), None)


def time_for(left: float, limit: float | None, *, others: int, fair: float) -> float:
    """How long one provider may take, in seconds, of what a solve has left.

    ``limit`` is its own. Where it has none, an equal share is kept for each of the ``others`` still to come;
    but up to half of it all is spent to give this one the time that a job of its needs, which is ``fair``.
    """
    if limit is not None:
        return min(left, limit)
    return max(left / (1 + others), min(left / 2, fair))


class Next(Enum):
    """What to do after a failed attempt."""

    GIVE_UP = "nobody is asked any more"
    OTHERS = "this provider is done with; the others are asked"
    LATER = "the others are asked first; when none is left, this provider again after a pause"
    AGAIN = "nobody else is asked; this provider again after a pause"


_ANY = RouteSettings(())


def what_next(error: CaptchaHubError, route: RouteSettings = _ANY) -> Next:
    """What an error allows: the table of the design in one place, and what the route makes of it."""
    if isinstance(error, (JournalError, TaskError)) or not isinstance(error, ProviderError):
        return Next.GIVE_UP
    if isinstance(error, (BudgetExceeded, PriceUnknown)):
        return Next.OTHERS
    falls_back = isinstance(error, NotAsked) or not rules_against(error, route)
    if _is_worth_waiting_for(error):
        return Next.LATER if falls_back else Next.AGAIN
    return Next.OTHERS if falls_back else Next.GIVE_UP


def _is_worth_waiting_for(error: ProviderError) -> bool:
    if isinstance(error, ServiceUnavailable):
        return error.nothing_created
    return isinstance(error, (RateLimited, NotAsked))


def rules_against(error: ProviderError, route: RouteSettings) -> list[str]:
    """The rules of the route after which nobody else is asked; none where another one may be."""
    rules: list[str] = []
    if isinstance(error, AmbiguousCreate) and route.on_ambiguous is Otherwise.FAIL:
        rules.append("on_ambiguous")
    if isinstance(error, JobTimeout) and route.on_timeout is Otherwise.FAIL:
        rules.append("on_timeout")
    if not isinstance(error, route.fallback_on):
        rules.append("fallback_on")
    return rules


def backoff(tries: int, error: CaptchaHubError | None = None, *, chance: float = 1.0) -> float:
    """How long to leave a provider alone after its ``tries``-th failure, in seconds.

    It doubles with each try up to a ceiling, shortened by ``chance`` (from 0 to 1) by up to a half so that
    many waiting solves do not come back at once. What the service asked for only lengthens it.
    """
    doubled = min(_FIRST_PAUSE * 2.0 ** min(tries - 1, 10), _LONGEST_PAUSE)
    asked_for = error.retry_after if isinstance(error, (RateLimited, ServiceUnavailable)) else None
    return max(doubled * (0.5 + chance / 2), asked_for or 0.0)
