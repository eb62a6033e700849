"""Time zones by the names of the IANA database."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from captchahub._config.problems import InvalidValue

__all__ = ["known_zones", "read_time_zone"]

_UTC = "UTC"

_NOT_ZONES = frozenset({"Factory", "localtime"})  # among the zones, and of another meaning on each machine

_SHOWN = 40


def known_zones() -> frozenset[str]:
    """Return the names of all time zones; none if this machine has no time zone data."""
    # ZoneInfo itself is not tried with the name: some systems find 'europe/berlin' as well, others do not.
    return frozenset(available_timezones()) - _NOT_ZONES


def read_time_zone(value: object, zones: Callable[[], frozenset[str]]) -> tzinfo:
    """Read the name of a time zone. ``zones`` returns :func:`known_zones`, which takes some milliseconds."""
    if value == _UTC:
        return UTC  # also if this machine has no time zone data
    known = zones()
    if isinstance(value, str) and value in known:
        return ZoneInfo(value)
    advice, near = "take a name of the IANA time zone database", None
    if not known:
        advice = "this machine has no time zone data but UTC: install tzdata"
    elif isinstance(value, str):
        near = _nearest(value, known)
    guess = f"did you mean {near!r}?" if near else ""
    raise InvalidValue("a time zone such as Europe/Berlin", value, advice, guess=guess)


def _nearest(word: str, zones: Iterable[str]) -> str | None:
    """Return the zone most like a word, as a whole or in its last part: 'berlin' means 'Europe/Berlin'."""
    names: dict[str, str] = {}
    for zone in sorted(zones):
        names.setdefault(zone.casefold(), zone)
    for zone in sorted(zones):
        names.setdefault(zone.rpartition("/")[2].casefold(), zone)
    near = difflib.get_close_matches(word[:_SHOWN].casefold().replace(" ", "_"), names, n=1)
    return names[near[0]] if near else None
