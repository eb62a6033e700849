"""Budgets: how much may be spent, and in which period."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from captchahub._config.problems import InvalidValue, KeyPath, Problems
from captchahub._config.reader import ValueReader
from captchahub._config.type_info import keys_of
from captchahub.settings import Budget, Period, ProviderSettings

__all__ = ["read_budget", "refuse_mixed_currencies"]

_MISSING = {
    "limit": "missing; say how much may be spent, as in limit: 5.00",
    "per": f"missing; say what the limit holds for: {', '.join(period.value for period in Period)}",
}


def read_budget(reader: ValueReader, value: object, place: KeyPath) -> Budget | None:
    """Return the budget at a place, or None if it is not one."""
    if not isinstance(value, dict):
        reader.report_invalid(InvalidValue("a budget such as {limit: 5.00, per: day}", value), place)
        return None
    raw: dict[str, object] = value  # pyright: ignore[reportUnknownVariableType]  # its keys are text
    keys = keys_of(Budget)
    reader.refuse_unknown(raw, keys, place)
    unknown = [key for key in raw if key not in keys]
    for key, message in _MISSING.items():
        # A misspelt key has been reported already.
        if key not in raw and not difflib.get_close_matches(key, unknown, n=1):
            reader.problems.add((*place, key), message)
    read = reader.fields(raw, Budget, place)
    return Budget(**read) if read.keys() >= _MISSING.keys() else None


def refuse_mixed_currencies(
    problems: Problems, providers: Iterable[ProviderSettings], place: KeyPath
) -> None:
    """Report currencies that the one budget at this place can't add up."""
    currencies = {each.name: each.currency for each in providers if each.currency is not None}
    if len({*currencies.values()}) > 1:
        shown = (
            f"{name} in {problems.shown(('providers', name, 'currency'), currency)}"
            for name, currency in currencies.items()
        )
        message = f"it can't add up different currencies: {', '.join(shown)}"
        problems.add(place, f"{message}; leave it out, and give each provider a budget of its own")
