"""The settings: the account, the dialect, and how the service differs from the dialect."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs
from attrs.converters import optional

from captchahub.provider import Secret, service_url, usable_secret
from captchahub_createtask.dialects import Dialect, DialectName, OptionName, find_dialect

__all__ = ["CreateTaskSettings"]

Field: TypeAlias = "attrs.Attribute[Any]"  # one validator serves fields of several types
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def _known(_settings: object, _field: Field, value: DialectName) -> None:
    find_dialect(value)


def _word(_settings: object, field: Field, value: object) -> None:
    if value is not None and not (isinstance(value, str) and _WORD.fullmatch(value)):
        raise ValueError(f"{field.name} must be one plain word such as {_EXAMPLES[field.name]!r}")


_EXAMPLES: Final[Mapping[str, str]] = {
    "task_type": "ImageToTextTask",
    "image_field": "body",
    "wrong_call": "reportIncorrect",
    "right_call": "reportCorrect",
}


def _named(_settings: object, field: Field, value: Mapping[str, object]) -> None:
    _check_words(field, value)


def _naming(_settings: object, field: Field, value: Mapping[str, object] | None) -> None:
    _check_words(field, value.values() if value else ())


def _check_words(field: Field, names: Iterable[object]) -> None:
    for name in names:
        if not (isinstance(name, str) and _WORD.fullmatch(name)):
            raise ValueError(f"{field.name} must name fields of the service as plain words, not {name!r}")


def _positive(_settings: object, field: Field, value: float | None) -> None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{field.name} must be more than 0, not {value}")


@attrs.frozen
class CreateTaskSettings:
    """The keys of a createTask provider.

    The keys from ``task_type`` on replace one fact of the dialect each; None keeps the fact of the dialect.
    Raises ValueError for an unusable key, URL or fact. The message never contains the key of the account.
    """

    dialect: DialectName = attrs.field(validator=_known)
    """The service, or ``custom`` for any other service that speaks the protocol."""
    client_key: Secret = attrs.field(validator=usable_secret)
    """The key of the account, best written as ``${env:NAME}`` or ``${file:PATH}``."""
    base_url: str | None = attrs.field(default=None, converter=optional(service_url))
    """The URL of the service's calls: ``https``, or ``http`` on this machine for a sandbox. None means the
    URL of the dialect, which ``custom`` does not have."""
    task_fields: Mapping[str, bool | int | float | str] = attrs.field(
        factory=dict[str, bool | int | float | str], validator=_named
    )
    """Fields that are sent unchanged in every task object, such as ``{module: common}``."""
    task_type: str | None = attrs.field(default=None, validator=_word)
    """The ``type`` of the task object."""
    image_field: str | None = attrs.field(default=None, validator=_word)
    """The field of the task object that holds the picture in base64."""
    options: Mapping[OptionName, str] | None = attrs.field(default=None, validator=_naming)
    """The field for each option that the service accepts. It replaces the whole list of the dialect."""
    numeric: tuple[Literal[1, 2], ...] | None = None
    """The values that the field for ``charset`` accepts: 1 for digits only, 2 for letters only."""
    min_bytes: int | None = attrs.field(default=None, validator=_positive)
    """The size of the smallest accepted picture, in bytes."""
    max_bytes: int | None = attrs.field(default=None, validator=_positive)
    """The size of the largest accepted picture, in bytes."""
    max_side: int | None = attrs.field(default=None, validator=_positive)
    """The largest accepted width or height of a picture, in pixels."""
    seconds_between_polls: float | None = attrs.field(default=None, validator=_positive)
    """The shortest time between two polls of the same job, in seconds. If it is set, the dialect's time
    before the first poll does not apply either."""
    seconds_before_first_poll: float | None = attrs.field(default=None, validator=_positive)
    """The shortest time between the create call and the first poll, in seconds."""
    wrong_call: str | None = attrs.field(default=None, validator=_word)
    """The call that reports a wrong answer."""
    right_call: str | None = attrs.field(default=None, validator=_word)
    """The call that reports a right answer."""

    def __attrs_post_init__(self) -> None:
        mistake = self._mistake()
        if mistake is not None:
            raise ValueError(mistake)

    def _mistake(self) -> str | None:
        spoken = self.spoken
        if spoken.base_url is None:
            return f"the dialect {self.dialect} needs base_url, the URL of the service"
        if self.numeric is not None and "charset" not in spoken.options:
            return "numeric says how charset is sent, but options has no field for charset"
        if (spoken.min_bytes or 0) > (spoken.max_bytes or math.inf):
            return f"min_bytes {spoken.min_bytes} is more than max_bytes {spoken.max_bytes}"
        return _clash(self.task_fields, spoken)

    @property
    def spoken(self) -> Dialect:
        """The facts of the dialect, with the configured ones in their place."""
        given = {name: getattr(self, name) for name in _FACTS}
        changes = {name: value for name, value in given.items() if value is not None}
        if self.seconds_between_polls is not None:
            changes["seconds_before_first_poll"] = self.seconds_before_first_poll
        return attrs.evolve(find_dialect(self.dialect), **changes)


_FACTS: Final = tuple(field.name for field in attrs.fields(Dialect) if field.name != "service")


def _clash(task_fields: Mapping[str, object], spoken: Dialect) -> str | None:
    names = [field for option, field in spoken.options.items() if option != "language"]
    inside = ["type", spoken.image_field, *names]
    beside = ["clientKey", "task", spoken.options.get("language")]
    twice = sorted(name for name in task_fields if name in inside)
    if twice:
        return f"task_fields has {', '.join(twice)}, which is filled in for every task; leave it out"
    doubled = [name for names in (inside, beside) for name in names if name and names.count(name) > 1]
    return f"two things would be sent as {doubled[0]}; name another field" if doubled else None
