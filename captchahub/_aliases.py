"""Names by which people look for a kind of provider, such as that of one of its services: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from captchahub.provider import ProviderKind

__all__ = ["is_alias", "keys_of_alias", "meant_value"]


def is_alias(alias: str, name: str) -> bool:
    """Whether a name is an alias; case and signs do not count."""
    return bool(_plain(name)) and _plain(alias) == _plain(name)


def keys_of_alias(kind: ProviderKind[object], name: str) -> Mapping[str, str] | None:
    """The keys that stand for an alias of a kind, None where it has no such alias."""
    # Plugins need not use a type checker, and this is only advice.
    aliases: object = kind.aliases
    if not isinstance(aliases, Mapping):
        return None
    for alias, keys in cast("Mapping[object, object]", aliases).items():
        if isinstance(alias, str) and isinstance(keys, Mapping) and is_alias(alias, name):
            return {str(key): str(value) for key, value in cast("Mapping[object, object]", keys).items()}
    return None


def meant_value(kind: ProviderKind[object], key: str, value: object) -> str | None:
    """What a value of a key stands for, where it is an alias of the kind; None where it is not."""
    keys = keys_of_alias(kind, value) if isinstance(value, str) else None
    return None if keys is None else keys.get(key)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()
