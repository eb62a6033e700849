"""How the hubs of a journal keep to the rate of an account together. Pure.

A hub is granted a few jobs at a time, which it may create within a short time. Until it says when it has
created them, they count as if that was at the end of this time. So no period ever has more jobs than the rate
allows, whatever the hub does; it can only have a few less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from captchahub.settings import Rate

# Jobs of a grant may be created for at most this long, in seconds, and for this share of the period of the
# rate. It is also the largest share of the rate that can be lost.
_LONGEST_VALIDITY = 1.0
_SHARE_OF_PERIOD = 0.05

# A grant that has expired before the journal's reply came is followed by a longer one.
_MAX_DOUBLINGS = 4

# Hubs that wait for the same moment ask at most this much later, as a share of the period and in seconds.
_JITTER_SHARE = 0.01
_LONGEST_JITTER = 0.05

# Earlier grants of a hub are merged into one for each slice of the period, so that a job may count longer by
# this share of it. They are merged once there are twice as many as slices.
_SLICES = 50

AHEAD = 2.0**_MAX_DOUBLINGS * _LONGEST_VALIDITY
"""A grant can count at most this much later than now, in seconds; one that does was made before a clock was
set back."""


@attrs.frozen
class RateGrant:
    """Jobs of one hub that count for the rate, or none if it waits for some.

    ``counted_at`` is when the last of them is created at most.
    """

    counted_at: float
    jobs: int
    hub: str


@attrs.frozen
class SpentGrant:
    """A grant that is over: how many of its jobs were created, and when the last one was."""

    number: int
    jobs: int
    created_at: float


@attrs.frozen
class RateRequest:
    """What a hub wants of the rate of an account."""

    rate: Rate
    wanted: int
    validity: float
    has_waited: bool = False
    """Whether it has waited since its last grant."""
    spent: Sequence[SpentGrant] = ()
    """Its earlier grants that are over and have not been corrected yet."""


@attrs.frozen
class RateReply:
    """How many jobs may be created up to a time, or when to ask again if there are none."""

    jobs: int
    until: float


def validity(rate: Rate, expired: int) -> float:
    """Return how long the jobs of a grant may be created, in seconds.

    ``expired`` is how many grants in a row had expired before they arrived.
    """
    usual = min(_LONGEST_VALIDITY, rate.seconds * _SHARE_OF_PERIOD)
    return usual * 2.0 ** min(expired, _MAX_DOUBLINGS)


def jitter(rate: Rate, chance: float) -> float:
    """Return how much later a hub asks, in seconds, so that chance decides which one is first.

    ``chance`` is a random number from 0 to 1.
    """
    return min(_LONGEST_JITTER, rate.seconds * _JITTER_SHARE) * chance


def merged(grants: Sequence[RateGrant], rate: Rate, now: float) -> Sequence[RateGrant] | None:
    """Return fewer grants that allow no more jobs than these of one hub, or None if these are few.

    Those of a slice of the period count as the last of them. All of them are over.
    """
    if len(grants) < 2 * _SLICES:
        return None
    slices: dict[int, RateGrant] = {}
    for one in grants:
        number = int((now - one.counted_at) * _SLICES / rate.seconds)
        before = slices.get(number, one)
        jobs = one.jobs if before is one else before.jobs + one.jobs
        slices[number] = RateGrant(max(before.counted_at, one.counted_at), jobs, one.hub)
    return list(slices.values())


def reply_to(request: RateRequest, grants: Sequence[RateGrant], now: float, hub: str) -> RateReply:
    """Return what a hub may create now, given the grants to all hubs, in the order in which they count.

    If other hubs create jobs as well, it gets at most half of what there is, so that some is left for them.
    With more than its share, it waits for a moment before that, in which the others can ask.
    """
    rate = request.rate
    # A job may be created at once, and those of earlier grants as late as they count.
    counted = [one for one in grants if now - rate.seconds < one.counted_at <= now + AHEAD]
    free = rate.jobs - sum(one.jobs for one in counted)
    if free > 0:
        hubs = len({hub, *(one.hub for one in counted)})
        own = sum(one.jobs for one in counted if one.hub == hub)
        if hubs > 1 and own * hubs >= rate.jobs and not request.has_waited:
            return RateReply(0, now + jitter(rate, 1.0))
        most = free if hubs == 1 else (free + 1) // 2
        return RateReply(min(request.wanted, most), now + request.validity)
    for one in counted:
        free += one.jobs
        if free > 0:
            return RateReply(0, one.counted_at + rate.seconds)
    # Not reached, because a rate allows at least one job.
    return RateReply(0, now + rate.seconds)
