"""When a second provider may be asked while the first still works."""

from __future__ import annotations

from collections.abc import Sequence

from captchahub._policy.latency import LatencyStats
from captchahub.errors import CaptchaHubError, RateLimited, ServiceUnavailable
from captchahub.settings import Percentile, RouteSettings

__all__ = ["HedgeBudget", "backoff", "first_open", "hedge_delay", "time_for"]

# What quiet times save up, in hedges: a slow hour must not spend a whole day's share at once.
_MOST_SAVED = 10.0

# Answers come in at the pace of the polls, so many of them just at the percentile: those are let in first.
_JUST_AFTER = 1.05

# Twenty times 0.05 is not quite 1.
_ROUNDING = 1e-6


class HedgeBudget:
    """Keeps the hedges of a route to a share of its solves."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved = 0.0

    def count_solve(self) -> None:
        """Note that a solve has begun."""
        self._saved = min(self._saved + self._share, _MOST_SAVED)

    def take(self) -> bool:
        """Whether one more hedge is within the share; it is counted then."""
        if self._saved < 1.0 - _ROUNDING:
            return False
        self._saved -= 1.0
        return True


def hedge_delay(route: RouteSettings, speed: LatencyStats) -> float | None:
    """How long the first provider works alone, in seconds; None for as long as it takes.

    ``speed`` is what is known of that provider: a percentile of it is not known from the first solve on.
    """
    if not isinstance(route.hedge_after, Percentile):
        return route.hedge_after
    usual = speed.percentile(route.hedge_after.rank)
    return None if usual is None else usual * _JUST_AFTER


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


# In seconds. A solve with a deadline of usual length (two minutes) still gets a dozen tries at the ceiling.
_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 10.0


def backoff(tries: int, error: CaptchaHubError | None = None, *, chance: float = 1.0) -> float:
    """Return how long to leave a provider alone after its ``tries``-th failure, in seconds.

    The pause doubles with each try up to a ceiling. ``chance``, from 0 to 1, shortens it by up to a half, so
    that many waiting solves do not come back at once. A pause that the service asked for only lengthens it.
    """
    doubled = min(_FIRST_BACKOFF * 2.0 ** min(tries - 1, 10), _LONGEST_BACKOFF)
    requested = error.retry_after if isinstance(error, (RateLimited, ServiceUnavailable)) else None
    return max(doubled * (0.5 + chance / 2), requested or 0.0)
