"""When a solve calls the next provider, for how long, and after which pause.

Pure: time and chance are arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

from captchahub._policy.latency import LatencyStats
from captchahub.errors import CaptchaHubError, RateLimited, ServiceUnavailable
from captchahub.settings import Percentile, RouteSettings

# The hedges that a quiet time may save up. Without a limit, one slow hour could spend the share of a whole
# day.
_MAX_SAVED = 10.0

# Jobs are found done at the times of the polls, therefore many answers come just at the percentile. A hedge a
# little later lets them come first.
_AFTER_PERCENTILE = 1.05

# Twenty times 0.05 is not quite 1 in binary floating point.
_ROUNDING = 1e-6


class HedgeBudget:
    """Keeps the hedges of a route to a share of its solves: a token bucket that fills with each solve."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved = 0.0

    def count_solve(self) -> None:
        """Record that a solve has begun."""
        self._saved = min(self._saved + self._share, _MAX_SAVED)

    def take(self) -> bool:
        """Return whether one more hedge is within the share, and count it if it is."""
        if self._saved < 1.0 - _ROUNDING:
            return False
        self._saved -= 1.0
        return True


def hedge_delay(route: RouteSettings, speed: LatencyStats) -> float | None:
    """Return how long the first provider works alone, in seconds, or None if it is never hedged.

    ``speed`` is the latency of that provider. A percentile of it is None until enough answers are known.
    """
    if not isinstance(route.hedge_after, Percentile):
        return route.hedge_after
    usual = speed.percentile(route.hedge_after.rank)
    return None if usual is None else usual * _AFTER_PERCENTILE


def first_open(opens: Sequence[float | None], now: float) -> int | None:
    """Return the place of the first provider that may be called now, or None if there is none.

    ``opens`` has the time from which each may be called, or None for never.
    """
    for place, opens_at in enumerate(opens):
        if opens_at is not None and opens_at <= now:
            return place
    return None


def time_for(left: float, limit: float | None, *, others: int, typical: float) -> float:
    """Return the share of the remaining time that one provider may use, in seconds.

    ``left`` is the time that the solve has left and ``limit`` the provider's own timeout. Without a timeout,
    an equal share is kept for each of the ``others`` still to come. But a job needs its ``typical`` time to
    be of any use, so this provider may use that, up to half of what is left.
    """
    if limit is not None:
        return min(left, limit)
    return max(left / (1 + others), min(left / 2, typical))


# In seconds: the first pause ends within a blink of the network, and the longest lets a solve of the default
# timeout, two minutes, try a dozen times.
_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 10.0


def backoff(tries: int, error: CaptchaHubError | None = None, *, chance: float = 1.0) -> float:
    """Return how long to leave a provider alone after its ``tries``-th failure, in seconds.

    The pause doubles with each try up to a ceiling. ``chance``, a random number from 0 to 1, shortens it by
    up to a half, so that many waiting solves do not come back at once. A pause that the service requested
    only lengthens it.
    """
    # The exponent is limited because a float overflows at 1024 tries.
    doubled = min(_FIRST_BACKOFF * 2.0 ** min(tries - 1, 10), _LONGEST_BACKOFF)
    requested = error.retry_after if isinstance(error, (RateLimited, ServiceUnavailable)) else None
    return max(doubled * (0.5 + chance / 2), requested or 0.0)
