"""Finds variables that look as if they set a key, but that nothing reads, such as ``CAPTCHAHUB_TIMEOUT``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from captchahub._config import type_info
from captchahub._config.env_overrides import BETWEEN, PREFIX, as_variable
from captchahub._config.names import task_kinds
from captchahub._config.problems import Problems, mapping_in
from captchahub._config.references import references_in
from captchahub._support.log import log
from captchahub.settings import HubSettings, ProviderSettings, RouteSettings

__all__ = ["RESERVED_NAMES", "report_near_variables"]

RESERVED_NAMES = frozenset({"CAPTCHAHUB_BLOCK_PLUGINS", "CAPTCHAHUB_CONFIG", "CAPTCHAHUB_CONTRACT_RUNS"})
"""The variables of this library that set no key."""

_BEGINNING = PREFIX.removesuffix(BETWEEN) + "_"

Split = Callable[[str], Sequence[str] | None]
"""Splits the rest of a name into keys, as variables write them; returns None if it has other words."""


def report_near_variables(value: object, environment: Iterable[str], problems: Problems) -> None:
    """Report the names in the environment that would be those of keys if they had the right underscores.

    A variable that the configuration refers to is the user's own. One that is only similar to a key may be
    the user's own too, so it is logged. ``value`` is the configuration as it is written.
    """
    own = RESERVED_NAMES.union(name for scheme, name in references_in(value) if scheme == "env")
    split = _at_the_top(mapping_in(value))
    for name in sorted(environment):
        upper = name.upper()
        if upper.startswith(_BEGINNING) and not name.startswith(PREFIX) and name not in own:
            rest = re.sub("_+", "_", upper.removeprefix(_BEGINNING)).strip("_")
            keys = split(rest)
            if keys is not None:
                right = PREFIX + BETWEEN.join(keys)
                message = f"nothing reads it; write {right}, or another name if it is your own program's"
                problems.add((), message, variable=name)
                continue
            near = difflib.get_close_matches(rest.lower(), type_info.keys_of(HubSettings), n=1, cutoff=0.8)
            if near:
                log.warning("$%s is read by nothing; did you mean %s?", name, PREFIX + as_variable(near[0]))


def _at_the_top(top: Mapping[str, object]) -> Split:
    common = _of_class(ProviderSettings, {"prices": _one_of(dict.fromkeys(task_kinds(())))})
    kinds = task_kinds(()).union(mapping_in(top.get("routes")))

    def provider(rest: str) -> Sequence[str] | None:
        # Any other key may be one of its plugin, which is not imported for this.
        return common(rest) or [rest]

    return _of_class(
        HubSettings,
        {
            "providers": _one_of(dict.fromkeys(mapping_in(top.get("providers")), provider)),
            "routes": _one_of(dict.fromkeys(kinds, _of_class(RouteSettings))),
        },
    )


def _of_class(target: type[Any], named: Mapping[str, Split] | None = None) -> Split:
    """Return what splits a name that begins with a key of a settings class.

    ``named`` are the keys whose mappings hold names of the user's own.
    """
    return _one_of(
        {
            field.key: (named or {}).get(field.key) or _of_type(field.type)
            for field in type_info.settings_fields(target)
        }
    )


def _of_type(target: Any) -> Split | None:
    match type_info.info_of(target):
        case type_info.ClassType(inner):
            return _of_class(inner)
        case type_info.UnionType(members):
            return next(filter(None, map(_of_type, members)), None)
        case _:
            return None


def _one_of(keys: Mapping[str, Split | None]) -> Split:
    """Return what splits a name that begins with one of the keys; each has what splits the rest, or None."""

    def split(rest: str) -> Sequence[str] | None:
        for key, below in keys.items():
            word = as_variable(key)
            if rest == word:
                return [word]
            inner = below(rest[len(word) + 1 :]) if below and rest.startswith(f"{word}_") else None
            if inner is not None:
                return [word, *inner]
        return None

    return split
