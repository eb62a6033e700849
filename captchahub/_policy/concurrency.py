"""How many calls of a provider run at the same time, each in a thread and on a connection of its own."""

from __future__ import annotations

import math

import attrs

LEAST_THREADS = 32
"""The limit while round trips are short. One processor is busy with fewer threads than that."""

MOST_THREADS = 256
"""The limit for the longest round trips: a service, or a NAT on the way, may refuse more connections."""

# A thread makes one call in each round trip. So 1.5 threads for each millisecond make 1500 calls a second,
# whatever the round trip is. That is what one processor can do: more threads would wait for it instead.
_CALLS_PER_SECOND = 1500

# The share of a longer round trip by which the estimate rises. Half of the rise takes 14 calls.
_RISE = 0.05


@attrs.frozen
class RoundTrips:
    """What was seen of the time between a request and the beginning of its reply.

    The estimate falls at once and rises slowly, so it is near the shortest round trip of late. The mean would
    include the time that calls wait for a processor: more threads make that longer, which would allow still
    more threads.
    """

    estimate: float | None = None
    """In seconds, or None before the first reply."""

    def after(self, seconds: float) -> RoundTrips:
        """Return what is known after one more round trip."""
        if self.estimate is None or seconds <= self.estimate:
            return RoundTrips(seconds)
        return RoundTrips(self.estimate + (seconds - self.estimate) * _RISE)

    @property
    def thread_limit(self) -> int:
        """The most threads to use."""
        wanted = math.ceil(_CALLS_PER_SECOND * (self.estimate or 0.0))
        return min(max(wanted, LEAST_THREADS), MOST_THREADS)
