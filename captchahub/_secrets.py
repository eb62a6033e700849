"""Keeping secrets out of what is shown: the backstop behind every plugin's own care."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import attrs

from captchahub.provider import Secret

__all__ = ["mask", "secrets_in"]

# A shorter text is no token, and masking it would blank every other word.
_SHORTEST = 4


def secrets_in(value: object) -> Iterable[str]:
    """The text of every Secret in a value: in settings, and in what they hold."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, Mapping):
        for item in value.values():  # pyright: ignore[reportUnknownVariableType] - any mapping
            yield from secrets_in(item)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, (Sequence, AbstractSet)) and not isinstance(value, (str, bytes)):
        for item in value:  # pyright: ignore[reportUnknownVariableType] - any container
            yield from secrets_in(item)  # pyright: ignore[reportUnknownArgumentType]
    elif attrs.has(kind := type(value)):
        for field in attrs.fields(kind):
            yield from secrets_in(getattr(value, field.name))


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with asterisks where a secret stood."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return text
