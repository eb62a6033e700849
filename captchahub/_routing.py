"""Whom to ask, and what an error allows next: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from captchahub.errors import CaptchaHubError, ProviderError, RateLimited, ServiceUnavailable, TaskError

__all__ = ["Next", "backoff", "order", "what_next"]

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0


def order(
    kind: str, routes: Mapping[str, Sequence[str]], offers: Mapping[str, frozenset[str]]
) -> tuple[str, ...]:
    """The providers for a task kind, in order: its route, or where it has none, all that offer it."""
    if kind in routes:
        return tuple(routes[kind])
    return tuple(name for name, kinds in offers.items() if kind in kinds)


class Next(Enum):
    """What to do after a failed attempt."""

    GIVE_UP = "nobody else is asked"
    OTHERS = "this provider is done with; the others are asked"
    LATER = "the others are asked first; when none is left, this provider again after a pause"


def what_next(error: CaptchaHubError) -> Next:
    """What an error allows: the table of the design in one place."""
    if isinstance(error, TaskError) or not isinstance(error, ProviderError):
        return Next.GIVE_UP
    if isinstance(error, RateLimited):
        return Next.LATER
    if isinstance(error, ServiceUnavailable) and error.nothing_created:
        return Next.LATER
    return Next.OTHERS


def backoff(tries: int, error: CaptchaHubError | None = None, *, chance: float = 1.0) -> float:
    """How long to leave a provider alone after its ``tries``-th failure, in seconds.

    It doubles with each try up to a ceiling, shortened by ``chance`` (from 0 to 1) by up to a half so that
    many waiting solves do not come back at once. What the service asked for only lengthens it.
    """
    doubled = min(_FIRST_PAUSE * 2.0 ** min(tries - 1, 10), _LONGEST_PAUSE)
    asked_for = error.retry_after if isinstance(error, (RateLimited, ServiceUnavailable)) else None
    return max(doubled * (0.5 + chance / 2), asked_for or 0.0)
