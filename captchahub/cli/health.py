"""How processes see a provider that they use, as the journal has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from captchahub.results import HealthEntry, ProviderState

__all__ = ["SeenHealth", "seen_health"]


@attrs.frozen
class SeenHealth:
    """The health of a provider in the process that is worst off: out, or else cooling for longest.

    ``processes`` is how many have it in this state; it is 0 if no process has recorded that it is not
    healthy.
    """

    state: ProviderState = ProviderState.HEALTHY
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    processes: int = 0

    def text(self) -> str:
        """Return it for people: ``cooling until 18:30:05 (RateLimited)``."""
        if self.state is ProviderState.HEALTHY:
            return "healthy"
        until = "" if self.until is None else f" until {_clock(self.until)}"
        where = "" if self.processes == 1 else f" in {self.processes} processes"
        return f"{self.state.value}{until}{where} ({self.error})"

    def fields(self) -> Mapping[str, object]:
        """Return it for JSON, with times in local time."""
        return {
            "state": self.state.value,
            "error": self.error,
            "since": _iso(self.since),
            "until": _iso(self.until),
            "processes": self.processes,
        }


def seen_health(entries: Sequence[HealthEntry]) -> SeenHealth:
    """Return the health of the provider that the entries are about."""
    if not entries:
        return SeenHealth()
    out = [one for one in entries if one.state is ProviderState.OUT]
    worst = out or entries
    shown = max(worst, key=lambda one: one.until or one.since)
    return SeenHealth(shown.state, shown.error, shown.since, shown.until, len({one.owner for one in worst}))


def _clock(moment: datetime) -> str:
    local = moment.astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return local.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M")


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone().isoformat(timespec="seconds")
