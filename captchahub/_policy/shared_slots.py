"""How the hubs of a journal share the slots of an account, which ``max_in_flight`` limits. Pure.

A hub holds a few more slots than it uses, so that most attempts need not ask the journal. If the hubs need
more than there are, each may hold the same number; the slots that are left over after that go to the hubs
that have waited longest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

# A hub that waits says so again at least once in this time, in seconds, or it is not taken to wait any more:
# slots must not be kept for a hub that was killed on another machine.
_FRESH = 3.0

# The pauses of a hub that waits for slots, in seconds: the first one and the longest.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


@attrs.frozen
class SlotRequest:
    """What a hub wants of the slots of an account."""

    limit: int
    """The most that all hubs together may hold, as this hub is configured."""
    held: int
    """How many it holds until the answer to this request."""
    needed: int
    """How many its attempts use or wait for."""
    wanted: int
    """The same, with spare ones."""


@attrs.frozen
class SlotClaim:
    """What another hub holds and needs of the slots of an account."""

    held: int
    needed: int
    waiting_since: float | None
    """Since when it has had fewer than it needs, or None if it has enough."""
    asked_at: float
    """When it last said so."""

    def is_waiting_at(self, now: float) -> bool:
        """Return whether it waits for slots at a time."""
        return self.waiting_since is not None and self.asked_at > now - _FRESH

    def demand_at(self, now: float) -> int:
        """Return how many slots are its due at a time, if there are enough."""
        return self.needed if self.is_waiting_at(now) else min(self.held, self.needed)


def wanted(peak: int, limit: int) -> int:
    """Return how many slots a hub wants that has recently needed up to ``peak`` at a time."""
    return min(limit, peak + peak // 4 + 1) if peak else 0


def wanted_later(held: int, peak: int, limit: int) -> int:
    """Return how many slots a hub keeps that holds enough.

    They are fewer only if many were idle, because each change is a write to the journal.
    """
    enough = wanted(peak, limit)
    return enough if enough == 0 or enough < 0.75 * held else min(held, limit)


def slots_for(
    request: SlotRequest, others: Sequence[SlotClaim], now: float, waiting_since: float | None
) -> int:
    """Return how many slots a hub may use from now on, given those of the others.

    ``waiting_since`` is when it began to wait for slots, or None if it did not wait until now.
    """
    free = request.limit - sum(other.held for other in others)
    # Spare slots are for hubs of which none waits.
    is_short = any(other.is_waiting_at(now) for other in others)
    want = request.needed if is_short else request.wanted
    return max(0, min(want, free, _share(want, request.limit, others, now, waiting_since)))


def _share(
    want: int, limit: int, others: Sequence[SlotClaim], now: float, waiting_since: float | None
) -> int:
    """Return the most that leaves each of the others as many, or what it needs if that is less."""
    demands = [(other.demand_at(now), _key(other.waiting_since)) for other in others]
    left, hubs = limit, 1 + len(demands)
    for demand in sorted([want, *(demand for demand, _ in demands)]):
        if demand * hubs > left:
            break
        left -= demand
        hubs -= 1
    else:
        return want
    level, over = divmod(left, hubs)
    before = sum(demand > level and key < _key(waiting_since) for demand, key in demands)
    return min(want, level + (before < over))


def _key(waiting_since: float | None) -> float:
    return math.inf if waiting_since is None else waiting_since


def pause_for(refusals: int, chance: float) -> float:
    """Return how long a hub waits before it asks for slots again, in seconds.

    ``refusals`` is how often it was refused in a row. ``chance``, a random number from 0 to 1, shortens the
    pause by up to a half, so that hubs do not ask at the same time.
    """
    doubled = min(_FIRST_PAUSE * 2.0 ** min(refusals - 1, 10), _LONGEST_PAUSE)
    return doubled * (0.5 + chance / 2)
