"""Variables that look as if they set a key, and are read by nothing, such as ``CAPTCHAHUB_TIMEOUT``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from captchahub._config.budgets import BUDGET_KEYS
from captchahub._config.env_overrides import BETWEEN, PREFIX, as_variable
from captchahub._config.keys import (
    COMMON_KEYS,
    HEALTH_KEYS,
    HUB_KEYS,
    JOURNAL_KEYS,
    PLUGIN_KEYS,
    TOP_KEYS,
    task_kinds,
)
from captchahub._config.problems import Problems, mapping_in
from captchahub._config.references import references_in
from captchahub._config.routes import ROUTE_KEYS
from captchahub._support.log import log

__all__ = ["OUR_OWN", "refuse_near"]

OUR_OWN = frozenset({"CAPTCHAHUB_BLOCK_PLUGINS", "CAPTCHAHUB_CONFIG", "CAPTCHAHUB_CONTRACT_RUNS"})
"""The variables of this library that set no key."""

_BEGINNING = PREFIX.removesuffix(BETWEEN) + "_"

Split = Callable[[str], Sequence[str] | None]
"""The keys in the rest of a name, as variables write them; None where it has others."""


def refuse_near(value: object, environment: Iterable[str], problems: Problems) -> None:
    """Tell which names in the environment are those of keys, but for their signs.

    One that the configuration refers to is the user's own. One that is only near a key may be, too, and is
    logged. ``value`` is the configuration as it was written.
    """
    own = OUR_OWN.union(name for scheme, name in references_in(value) if scheme == "env")
    split = _at_the_top(mapping_in(value))
    for name in sorted(environment):
        upper = name.upper()
        if upper.startswith(_BEGINNING) and not name.startswith(PREFIX) and name not in own:
            rest = re.sub("_+", "_", upper.removeprefix(_BEGINNING)).strip("_")
            keys = split(rest)
            if keys is not None:
                right = PREFIX + BETWEEN.join(keys)
                told = f"nothing reads it; write {right}, or another name where it is your own program's"
                problems.add((), told, variable=name)
                continue
            near = difflib.get_close_matches(rest.lower(), TOP_KEYS, n=1, cutoff=0.8)
            if near:
                log.warning("$%s is read by nothing; did you mean %s?", name, PREFIX + as_variable(near[0]))


def _at_the_top(top: Mapping[str, object]) -> Split:
    provider = _provider()
    kinds = task_kinds(()).union(mapping_in(top.get("routes")))
    return _one_of(
        {
            **dict.fromkeys(HUB_KEYS),
            "budget": _one_of(dict.fromkeys(BUDGET_KEYS)),
            "journal": _one_of(dict.fromkeys(JOURNAL_KEYS)),
            "plugins": _one_of(dict.fromkeys(PLUGIN_KEYS)),
            "providers": _one_of(dict.fromkeys(mapping_in(top.get("providers")), provider)),
            "routes": _one_of(dict.fromkeys(kinds, _one_of(dict.fromkeys(ROUTE_KEYS)))),
        }
    )


def _provider() -> Split:
    common = _one_of(
        {
            **dict.fromkeys(COMMON_KEYS),
            "budget": _one_of(dict.fromkeys(BUDGET_KEYS)),
            "health": _one_of(dict.fromkeys(HEALTH_KEYS)),
            "prices": _one_of(dict.fromkeys(task_kinds(()))),
        }
    )
    # Any other may be one of its plugin, which is not imported for this.
    return lambda rest: common(rest) or [rest]


def _one_of(keys: Mapping[str, Split | None]) -> Split:
    """What splits a name that begins with one of the keys, each with what splits the rest behind it."""

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
