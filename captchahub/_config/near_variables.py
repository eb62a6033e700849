"""Finds variables that look as if they set a key, but that nothing reads, such as ``CAPTCHAHUB_TIMEOUT``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from captchahub._config import type_info
from captchahub._config.env_overrides import BETWEEN, PREFIX, as_variable
from captchahub._config.names import task_kinds
from captchahub._config.plain_values import mapping_in
from captchahub._config.problems import Problems
from captchahub._config.references import references_in
from captchahub._support.log import log
from captchahub.settings import HubSettings, ProviderSettings, RouteSettings

RESERVED_NAMES = frozenset({"CAPTCHAHUB_BLOCK_PLUGINS", "CAPTCHAHUB_CONFIG", "CAPTCHAHUB_CONTRACT_RUNS"})
"""The variables of this library that set no key."""

_BEGINNING = PREFIX.removesuffix(BETWEEN) + "_"

Keys: TypeAlias = Mapping[str, "Keys"]
"""The keys of a mapping, each with the keys that its own value can have."""


def report_near_variables(value: object, environment: Iterable[str], problems: Problems) -> None:
    """Report the names in the environment that would be those of keys if they had the right underscores.

    A variable that the configuration refers to is the user's own. One that is only similar to a key may be
    the user's own too, so it is logged. ``value`` is the configuration as it is written.
    """
    own = RESERVED_NAMES.union(name for scheme, name in references_in(value) if scheme == "env")
    top = mapping_in(value)
    known = {"_".join(words): words for words in _words_in(_keys_at_the_top(top))}
    providers = [as_variable(name) for name in mapping_in(top.get("providers"))]
    for name in sorted(environment):
        # Only Windows ignores the case of a name, so nothing reads "captchahub__timeout" elsewhere.
        upper = name.upper()
        if not upper.startswith(_BEGINNING) or name.startswith(PREFIX) or name in own:
            continue
        rest = re.sub("_+", "_", upper.removeprefix(_BEGINNING)).strip("_")
        words = known.get(rest)
        # Any other key of a provider may be one of its plugin, which is not imported for this.
        around = [name for name in providers if rest.startswith(f"PROVIDERS_{name}_")]
        if words is None and around:
            # Of "omo" and "omo-2" the longer one is meant.
            provider = max(around, key=len)
            words = ("PROVIDERS", provider, rest.removeprefix(f"PROVIDERS_{provider}_"))
        if words is not None:
            right = PREFIX + BETWEEN.join(words)
            message = f"nothing reads it; write {right}, or another name if it is your own program's"
            problems.add((), message, variable=name)
            continue
        # Below 0.8 the names of users' own variables would be found, such as CAPTCHAHUB_TOKEN.
        near = difflib.get_close_matches(rest.lower(), type_info.keys_of(HubSettings), n=1, cutoff=0.8)
        if near:
            log.warning("$%s is read by nothing; did you mean %s?", name, PREFIX + as_variable(near[0]))


def _keys_at_the_top(top: Mapping[str, object]) -> Keys:
    """Return all keys that need no plugin, with the names that the configuration uses."""
    kinds = task_kinds(())
    account: Keys = {**_keys_in(ProviderSettings), "prices": {kind: {} for kind in kinds}}
    providers = dict.fromkeys(mapping_in(top.get("providers")), account)
    routes = dict.fromkeys(kinds.union(mapping_in(top.get("routes"))), _keys_in(RouteSettings))
    return {**_keys_in(HubSettings), "providers": providers, "routes": routes}


def _keys_in(target: Any) -> Keys:
    match type_info.info_of(target):
        case type_info.ClassType(inner):
            return {field.key: _keys_in(field.type) for field in type_info.settings_fields(inner)}
        case type_info.UnionType([first, *_]):
            # No setting is of one class or another: it is a class or None, such as a budget.
            return _keys_in(first)
        case _:
            return {}


def _words_in(keys: Keys) -> Iterator[tuple[str, ...]]:
    """Yield the ways to the keys, as the names of variables have them."""
    for key, below in keys.items():
        word = as_variable(key)
        yield (word,)
        yield from ((word, *words) for words in _words_in(below))
