"""How many calls of a provider run at the same time, each on a connection of its own."""

from __future__ import annotations

import math

import attrs

LEAST_CALLS = 30
"""The limit while round trips are short. One processor is busy with fewer calls than that, and a hub with one
provider has at most 32 threads, with those of the event loop and of the observers."""

MOST_CALLS = 256
"""The limit for the longest round trips: a service, or a NAT on the way, may refuse more connections."""

# A connection carries one call in each round trip. So 1.5 of them for each millisecond carry 1500 calls a
# second, whatever the round trip is. That is what one processor can do: more calls would wait for it instead.
_CALLS_PER_SECOND = 1500

# In seconds. In this time the shortest round trip that was seen counts twice as long, unless a shorter one is
# seen.
_DOUBLING = 60.0

_MAX_DOUBLINGS = 100.0


@attrs.frozen
class RoundTrips:
    """The shortest round trip of late, from a request to the beginning of its reply. Times are in seconds.

    The mean would include how long calls wait for a busy processor or a busy service: more calls make that
    longer, which would allow still more calls.
    """

    shortest: float = math.inf
    at: float = 0.0
    """When the latest one ended."""
    seen: int = 0
    """How many there were."""

    def after(self, seconds: float, now: float) -> RoundTrips:
        """Return what is known after one more round trip."""
        doublings = min((now - self.at) / _DOUBLING, _MAX_DOUBLINGS)
        return RoundTrips(min(seconds, self.shortest * 2.0**doublings), now, self.seen + 1)

    @property
    def call_limit(self) -> int:
        """The most calls to run at the same time."""
        # The first ones are made at the same time, with many handshakes, and so can all be long.
        if self.seen < LEAST_CALLS:
            return LEAST_CALLS
        return max(LEAST_CALLS, math.ceil(min(MOST_CALLS, _CALLS_PER_SECOND * self.shortest)))
