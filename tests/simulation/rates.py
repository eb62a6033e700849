"""Checks that all processes of a journal together keep to the rate of an account."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from captchahub._policy.rate import SlidingWindow
from captchahub._providers import limits
from captchahub.settings import ProviderSettings, Rate
from tests.simulation.accounts import Account
from tests.simulation.world import SimulatedWorld

__all__ = ["RateMonitor", "RecordingWindow", "longest_wait", "recording_turns"]

# Rounding, in seconds.
_SLACK = 0.001
# How much of a rate can be lost, as docs/guides/production.md says: a grant counts as created at its end.
_LOST = 0.05
_LONGEST_GRANT = 1.0


def longest_wait(rate: Rate) -> float:
    """Return how long no job is created at an account at most, if one waits only for the rate, in seconds."""
    return rate.seconds * (1 + _LOST) + _LONGEST_GRANT


class RecordingWindow(SlidingWindow):
    """Knows when it was last taken from, also if the job was given back."""

    last_turn = -math.inf

    def take(self, now: float) -> None:
        super().take(now)
        self.last_turn = now


@contextmanager
def recording_turns() -> Generator[None]:
    """Let the windows of rates that are made here record when a job is taken from them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SlidingWindow", RecordingWindow)
        yield


class RateMonitor:
    """Records when jobs are sent to each account with a rate.

    A job that the rate has allowed is written to the journal before it is sent, which takes up to ``late``
    seconds.
    """

    def __init__(self, world: SimulatedWorld, providers: Mapping[str, ProviderSettings], late: float) -> None:
        self._world = world
        self._rates = {name: own.rate for name, own in providers.items() if own.rate is not None}
        self._late = late
        self._sent: dict[Account, list[tuple[float, str]]] = defaultdict(list)

    def sent(self, account: Account) -> Sequence[float]:
        """Return when jobs were sent to an account, if it has a rate."""
        return [at for at, _ in self._sent[account]]

    def send(self, account: Account, process: str) -> None:
        """Record that a process sends a job."""
        rate, now = self._rates.get(account.provider), self._world.loop.time()
        # The journal counts by its clock.
        if rate is None or not self._world.has_reliable_clock:
            return
        sent = self._sent[account]
        sent.append((now, process))
        since = now - rate.seconds + self._late + _SLACK
        within = [name for at, name in sent[-rate.jobs - 1 :] if at > since]
        if len(set(within)) > 1:
            self._world.count("rate used by several processes")
        if len(within) == rate.jobs:
            self._world.count("rate used up")
        if len(within) > rate.jobs:
            self._world.report_violation(
                f"{account} got more jobs than its rate of {rate} allows: {sent[-rate.jobs - 1 :]}"
            )
