"""Budgets: how much may be spent, for how long that holds, and where its days begin."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from captchahub._config.problems import InvalidValue, KeyPath, Problems
from captchahub._config.reader import Reader, unknown_key
from captchahub._config.scalars import Limit
from captchahub.settings import Budget, Period, ProviderSettings

__all__ = ["BUDGET_KEYS", "NEEDED_KEYS", "BudgetReader"]

NEEDED_KEYS: Mapping[str, Any] = {"limit": Limit, "per": Period}

_MISSING = {
    "limit": "missing; say how much may be spent, as in limit: 5.00",
    "per": f"missing; say what the limit holds for: {', '.join(period.value for period in Period)}",
}

BUDGET_KEYS = (*NEEDED_KEYS, "zone")

_UTC = "UTC"

_NOT_ZONES = frozenset({"Factory", "localtime"})  # among the zones, and of another meaning on each machine

_SHOWN = 40


class BudgetReader:
    """Reads budgets; what is wrong with them goes to ``problems``."""

    def __init__(self, reader: Reader, problems: Problems) -> None:
        self._reader = reader
        self._problems = problems

    def budget(self, value: object, place: KeyPath) -> Budget | None:
        """The budget at a place, or None where it is not one."""
        if not isinstance(value, dict):
            self._reader.misfit(InvalidValue("a budget such as {limit: 5.00, per: day}", value), place)
            return None
        raw: dict[str, object] = value  # pyright: ignore[reportUnknownVariableType]  # its keys are text
        unknown = [key for key in raw if key not in BUDGET_KEYS]
        for key in unknown:
            self._problems.add((*place, key), unknown_key(key, BUDGET_KEYS))
        for key, told in _MISSING.items():
            if key not in raw and not difflib.get_close_matches(key, unknown, n=1):
                self._problems.add((*place, key), told)
        read = self._reader.given(raw, NEEDED_KEYS, place)
        zone = self._zone(raw["zone"], (*place, "zone")) if "zone" in raw else UTC
        return Budget(zone=zone, **read) if len(read) == len(NEEDED_KEYS) else None

    def refuse_mixed(self, providers: Iterable[ProviderSettings], place: KeyPath) -> None:
        """Tell of currencies that one budget at this place can't add up."""
        counted = {each.name: each.currency for each in providers if each.currency is not None}
        if len({*counted.values()}) > 1:
            shown = (
                f"{name} in {self._problems.shown(('providers', name, 'currency'), currency)}"
                for name, currency in counted.items()
            )
            told = f"it can't add up different currencies: {', '.join(shown)}"
            self._problems.add(place, f"{told}; leave it out, and give each provider a budget of its own")

    def _zone(self, value: object, place: KeyPath) -> tzinfo:
        if value == _UTC:
            return UTC  # also where nothing else is known
        if isinstance(value, str) and value in self._zones:
            return ZoneInfo(value)
        # What came from a reference is not compared, so that the advice can't spell it out.
        word = value if isinstance(value, str) and place not in self._problems.origins else ""
        self._reader.misfit(
            InvalidValue("a time zone such as Europe/Berlin", value, self._advice(word)), place
        )
        return UTC

    @cached_property
    def _zones(self) -> frozenset[str]:
        # Asked for the names, and not for the one: some systems find 'europe/berlin' as well, others do not.
        return frozenset(available_timezones()) - _NOT_ZONES

    def _advice(self, word: str) -> str:
        if not self._zones:
            return "this machine has no time zone data but UTC: install tzdata"
        near = _nearest(word, self._zones)
        return f"did you mean {near!r}?" if near else "take a name of the IANA time zone database"


def _nearest(word: str, zones: Iterable[str]) -> str | None:
    """The zone that a word is most like, in whole or in its last part: 'berlin' is 'Europe/Berlin'."""
    names: dict[str, str] = {}
    for zone in sorted(zones):
        names.setdefault(zone.casefold(), zone)
    for zone in sorted(zones):
        names.setdefault(zone.rpartition("/")[2].casefold(), zone)
    near = difflib.get_close_matches(word[:_SHOWN].casefold().replace(" ", "_"), names, n=1)
    return names[near[0]] if near else None
