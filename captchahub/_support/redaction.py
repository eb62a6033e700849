"""Keeping secrets out of what is shown: the backstop behind every plugin's own care."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import attrs

from captchahub._support.credentials import Secret
from captchahub._support.guard import foreign_errors

__all__ = ["chain_of", "mask", "mask_error", "secrets_in", "tokens_in"]

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


def tokens_in(value: object) -> tuple[str, ...]:
    """Those of them that are long enough to be told from other words."""
    return tuple(secret for secret in secrets_in(value) if len(secret) >= _SHORTEST)


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with asterisks where a secret stood."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return text


def mask_error(error: BaseException, secrets: Iterable[str]) -> None:
    """Put asterisks where a secret stood in an error, and in those that led to it."""
    hidden = list(secrets)
    for link in chain_of(error):
        link.args = tuple(_masked(arg, hidden) for arg in link.args)
        _mask_attributes(link, hidden)
        if hasattr(link, "__notes__"):
            link.__notes__ = [mask(str(note), hidden) for note in link.__notes__]


def _mask_attributes(error: BaseException, secrets: Sequence[str]) -> None:
    """Those from which an error may make its words."""
    attributes = vars(error)
    for name, value in attributes.items():
        if isinstance(value, str):
            attributes[name] = mask(value, secrets)
    if isinstance(error, OSError):
        # Set only where there is a text: None is not the same as nothing here.
        if isinstance(error.strerror, str):
            error.strerror = mask(error.strerror, secrets)
        if isinstance(error.filename, str):
            error.filename = mask(error.filename, secrets)


def _masked(value: Any, secrets: Sequence[str]) -> Any:
    """The same value, or a text with asterisks where it would show a secret."""
    if isinstance(value, str):
        return mask(value, secrets)
    try:
        shown = repr(value)
    except foreign_errors():
        return value
    masked = mask(shown, secrets)
    return value if masked == shown else masked


def chain_of(error: BaseException) -> Iterable[BaseException]:
    """An error, those that led to it and those that it groups, each once."""
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
