"""Masks secrets in errors and texts, for plugins and services that repeat them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import attrs

from captchahub._support.credentials import Secret
from captchahub._support.guard import foreign_errors

# A shorter text is no token, and masking it would mask parts of ordinary words.
_MIN_LENGTH = 4


def secrets_in(value: object) -> Iterable[str]:
    """Yield the text of every Secret in settings, also in their fields, mappings and lists."""
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


def tokens_in(value: object) -> tuple[str, ...]:
    """Return the secrets in settings that are long enough to be masked."""
    return tuple(secret for secret in secrets_in(value) if len(secret) >= _MIN_LENGTH)


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return the text with asterisks in the place of secrets."""
    for secret in secrets:
        if len(secret) >= _MIN_LENGTH:
            text = text.replace(secret, "***")
    return text


def mask_error(error: BaseException, secrets: Iterable[str]) -> None:
    """Mask secrets in an error and in those that led to it: arguments, attributes and notes."""
    hidden = list(secrets)
    for link in chain_of(error):
        link.args = tuple(_masked(arg, hidden) for arg in link.args)
        # An error can make its message from its attributes. They are written to the dictionary, because the
        # class of an error can be frozen.
        attributes = vars(link)
        attributes.update(
            {name: mask(value, hidden) for name, value in attributes.items() if isinstance(value, str)}
        )
        if isinstance(link, OSError):
            # Set only if it is text: an OSError whose ``filename`` was set to None shows "None".
            if isinstance(link.strerror, str):
                link.strerror = mask(link.strerror, hidden)
            if isinstance(link.filename, str):
                link.filename = mask(link.filename, hidden)
        if hasattr(link, "__notes__"):
            link.__notes__ = [mask(str(note), hidden) for note in link.__notes__]


def _masked(value: Any, secrets: Sequence[str]) -> Any:
    """Return the value, or its masked representation if that shows a secret."""
    if isinstance(value, str):
        return mask(value, secrets)
    try:
        shown = repr(value)
    except foreign_errors():
        return value
    masked = mask(shown, secrets)
    return value if masked == shown else masked


def chain_of(error: BaseException) -> Iterable[BaseException]:
    """Return an error, those that led to it and those in its group, each once."""
    seen: dict[int, BaseException] = {}
    waiting = [error]
    while waiting:
        link = waiting.pop()
        if id(link) not in seen:
            seen[id(link)] = link
            waiting += [one for one in (link.__cause__, link.__context__) if one is not None]
            if isinstance(link, BaseExceptionGroup):
                waiting += link.exceptions  # pyright: ignore[reportUnknownMemberType] - any group
    return seen.values()
