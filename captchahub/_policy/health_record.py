"""What the journal records of a provider that is not used now, so that other processes can know it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from captchahub._policy.health import Health
from captchahub.results import ProviderState

# The end of a cooldown that moves by less than this, in seconds, is not written again: each reply of a busy
# service may move it.
_TOLERANCE = 1.0


@attrs.frozen
class HealthRecord:
    """Why a provider is not used. Times are those of the wall clock, in seconds since 1970."""

    state: ProviderState
    """COOLING or OUT."""
    error: str
    """The class of the error that led to it."""
    until: float | None
    """When the cooldown is over, or None if it does not depend on the time."""
    changed_at: float

    def is_over(self, now: float) -> bool:
        """Return whether the cooldown is over, so that the provider is called again."""
        return self.until is not None and self.until <= now


def record_of(health: Health, error: str | None, *, now: float, wall: float) -> HealthRecord | None:
    """Return the record of a provider, or None if it is called, be it by a probe.

    There is none of what another process has found, because that has recorded it.

    ``error`` is the class of the error that led to its state. ``wall`` is the time of the wall clock at
    ``now``, which is in the time of ``health``.
    """
    state = health.state_at(now)
    if state in (ProviderState.HEALTHY, ProviderState.HALF_OPEN) or health.is_elsewhere:
        return None
    since, until = health.since, health.until
    return HealthRecord(
        state,
        error or "unknown",
        None if until is None else wall + until - now,
        wall if since is None else wall + since - now,
    )


def is_news(recorded: Mapping[str, HealthRecord], present: Mapping[str, HealthRecord], now: float) -> bool:
    """Return whether the present records of providers, by name, say something else than those before.

    ``now`` is the time of the wall clock. A cooldown that is over says the same as no record.
    """
    before, after = (
        {name: one for name, one in records.items() if not one.is_over(now)}
        for records in (recorded, present)
    )
    return before.keys() != after.keys() or any(_differ(before[name], after[name]) for name in after)


def _differ(before: HealthRecord, after: HealthRecord) -> bool:
    if (before.state, before.error) != (after.state, after.error):
        return True
    if before.until is None or after.until is None:
        return before.until is not after.until
    return abs(before.until - after.until) >= _TOLERANCE
