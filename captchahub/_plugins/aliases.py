"""Names by which people look for a kind of provider, such as that of one of its services: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from captchahub.provider import ProviderKind

__all__ = ["is_alias", "keys_of_alias", "meant_value"]


def is_alias(alias: str, name: str) -> bool:
    """Whether a name is an alias; case and signs do not count."""
    return bool(_plain(name)) and _plain(alias) == _plain(name)


def keys_of_alias(kind: ProviderKind[object], name: str) -> Mapping[str, str] | None:
    """The keys that stand for an alias of a kind, None where it has no such alias."""
    # Plugins need not use a type checker, and this is only advice.
    for alias, keys in _items(kind.aliases):
        if isinstance(alias, str) and is_alias(alias, name):
            return {str(key): str(value) for key, value in _items(keys)}
    return None


def meant_value(kind: ProviderKind[object], key: str, value: object) -> str | None:
    """What a value of a key stands for, where it is an alias of the kind; None where it is not."""
    keys = keys_of_alias(kind, value) if isinstance(value, str) else None
    return None if keys is None else keys.get(key)


def _items(given: object) -> Iterable[tuple[object, object]]:
    return cast("Mapping[object, object]", given).items() if isinstance(given, Mapping) else ()


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()
