"""Names by which users look for a kind of provider, such as the name of one of its services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from captchahub.provider import ProviderKind


def is_alias(alias: str, name: str) -> bool:
    """Return whether two names are the same but for case and for characters that are no letter or digit."""
    # Names without any letter or digit would all be the same.
    return bool(_letters(name)) and _letters(alias) == _letters(name)


def keys_of_alias(kind: ProviderKind[object], name: str) -> Mapping[str, str] | None:
    """Return the keys to write for an alias of a kind, or None if the kind has no such alias."""
    # Plugins need not use a type checker, and this is only advice: what is wrong with it is skipped.
    for alias, keys in _items(kind.aliases):
        if isinstance(alias, str) and is_alias(alias, name):
            return {str(key): str(value) for key, value in _items(keys)}
    return None


def meant_value(kind: ProviderKind[object], key: str, value: object) -> str | None:
    """Return the value of a key that an alias stands for, or None if the value is no alias of the kind."""
    keys = keys_of_alias(kind, value) if isinstance(value, str) else None
    return None if keys is None else keys.get(key)


def _items(given: object) -> Iterable[tuple[object, object]]:
    return cast("Mapping[object, object]", given).items() if isinstance(given, Mapping) else ()


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()
