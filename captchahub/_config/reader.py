"""What cattrs and a plugin's own checks refuse, told as problems at their keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import attrs
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from captchahub._config.problems import InvalidValue, KeyPath, Problems
from captchahub._config.structure import StrictConverter
from captchahub._support.redaction import secrets_in
from captchahub._support.wording import advise

_TELLING = 8
"""So many characters in a row give something away; fewer are in common words, such as 'token'."""

Structured = ClassValidationError | IterableValidationError

Noted = tuple[Exception, "AttributeValidationNote | IterableValidationNote | None"]


@attrs.frozen
class Reader:
    """Structures values; what does not fit goes to ``problems``."""

    converter: StrictConverter
    problems: Problems

    def read(self, value: object, target: Any, place: KeyPath) -> Any:
        """The value as a ``target``, or None where it is not one."""
        try:
            return self.converter.structure(value, target)
        except Exception as error:  # noqa: BLE001  # whatever a plugin's own checks raise is told, not lost
            self._tell(error, value, target, place)
            return None

    def given(self, raw: Mapping[str, object], types: Mapping[str, Any], place: KeyPath) -> dict[str, Any]:
        """Those of the keys that are there and fit, so that a class keeps its defaults for the others."""
        read = {key: self.read(raw[key], types[key], (*place, key)) for key in types if key in raw}
        return {key: value for key, value in read.items() if value is not None}

    def misfit(self, misfit: InvalidValue, place: KeyPath) -> None:
        """Tell that a value is not what its place should hold, unless it could not even be read."""
        if place in self.problems.spoilt:
            return
        if misfit.hidden and place not in self.problems.origins:
            found = "something else, which is not shown as it may be a secret"
        else:
            found = self.problems.shown(place, misfit.value)
        said = misfit.advice or self.problems.hints.get(place)
        advice = f"; {said}" if said else ""
        self.problems.add(place, f"expected {misfit.expected}, found {found}{advice}")

    def _tell(self, error: Exception, value: object, target: Any, place: KeyPath) -> None:
        if isinstance(error, InvalidValue):
            self.misfit(error, place)
        elif isinstance(error, ForbiddenExtraKeysError):
            self._unknown_keys(error, place)
        elif isinstance(error, (ClassValidationError, IterableValidationError)):
            members = _members(error)
            for inner, note in members:
                self._tell_member(inner, note, error, value, place)
            if any(note or isinstance(inner, ForbiddenExtraKeysError) for inner, note in members):
                self._tell_checks(error.cl, value, place)
        else:
            self._refused(error, value, target, place)

    def _tell_member(
        self,
        inner: Exception,
        note: AttributeValidationNote | IterableValidationNote | None,
        error: Structured,
        value: object,
        place: KeyPath,
    ) -> None:
        if note is None:
            self._tell(inner, value, error.cl, place)
            return
        step: str | int = (
            _alias(error.cl, note.name) if isinstance(note, AttributeValidationNote) else note.index
        )
        there, item = _item(value, step)
        if there:
            self._tell(inner, item, note.type, (*place, step))
        else:
            self.problems.add((*place, step), "missing; the plugin needs it")

    def _unknown_keys(self, error: ForbiddenExtraKeysError, place: KeyPath) -> None:
        for key in sorted(error.extra_fields):
            self.problems.add((*place, key), unknown_key(key, keys(error.cl)))

    def _refused(self, error: Exception, value: object, target: Any, place: KeyPath) -> None:
        """A check of the plugin's own, run again key by key to learn which one it means."""
        if not (isinstance(target, type) and attrs.has(target) and isinstance(value, dict)):
            reason = f"the plugin can't take this value ({type(error).__name__})"
            self.problems.add(place, f"{reason}; leave the key out, and tell the plugin's author")
            return
        trial = _Trial(self.converter, target, value)  # pyright: ignore[reportUnknownArgumentType]  # read above
        if not self._blame(trial, place):
            self.problems.add(place, self._plugin_words(error, trial.values, place))

    def _tell_checks(self, target: Any, value: object, place: KeyPath) -> None:
        """What the plugin's own checks say of the keys that fit, where others do not or are missing."""
        if isinstance(target, type) and attrs.has(target) and isinstance(value, dict):
            raw: dict[str, object] = value  # pyright: ignore[reportUnknownVariableType]  # its keys are text
            readable = {key: item for key, item in raw.items() if not self.problems.is_spoilt((*place, key))}
            self._blame(_Trial(self.converter, target, readable), place)

    def _blame(self, trial: _Trial, place: KeyPath) -> bool:
        """Tell which keys are refused by themselves; False where none is."""
        blamed = trial.blamed()
        for key, refusal in blamed.items():
            self.problems.add((*place, key), self._plugin_words(refusal, trial.values[key], (*place, key)))
        return bool(blamed)

    def _plugin_words(self, error: Exception, value: object, place: KeyPath) -> str:
        """What the plugin said, unless that repeats a secret or a value that came from a reference."""
        words = words_of(error)
        origins = self.problems.origins_under(place)
        hidden = [*(text for origin in origins for text in origin.texts), *secrets_in(value)]
        if not any(_repeats(words, text) for text in hidden):
            return words
        came = f" from {' and '.join(origin.name for origin in origins)}" if origins else ""
        return f"the plugin refuses this value{came}, in words that repeat it; see the plugin's own page"


def _repeats(words: str, hidden: str) -> bool:
    """Whether a telling part of the hidden text stands in the words, or all of it where it is short."""
    words, text = words.casefold(), " ".join(hidden.casefold().split())
    return any(text[start : start + _TELLING] in words for start in range(max(1, len(text) - _TELLING + 1)))


def unknown_key(key: str, valid: Iterable[str]) -> str:
    """The problem of a key that nothing reads."""
    return f"unknown key; {advise(key, valid, 'valid keys')}"


def keys(target: Any) -> tuple[str, ...]:
    """The keys that a settings class takes."""
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(target)
    return tuple(field.alias or field.name for field in fields if field.init)


def settings_fault(target: Any, converter: StrictConverter, taken: Iterable[str]) -> str | None:
    """Why a plugin's settings class can't be filled from a configuration, or None where it can."""
    if not (isinstance(target, type) and attrs.has(target)):
        return "its settings are not an attrs class"
    clash = sorted({*keys(target)} & {*taken})
    if clash:
        return f"its settings have keys that every provider has: {', '.join(clash)}"
    try:
        converter.get_structure_hook(target)
    except Exception as error:  # noqa: BLE001  # a plugin's annotations can fail in any way
        return f"its settings class can't be read ({type(error).__name__}: {words_of(error)})"
    return None


def words_of(error: Exception) -> str:
    """What an exception says, on one line; attrs puts more than the words into its own."""
    words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return " ".join(words.split()) or type(error).__name__


def _members(error: Structured) -> list[Noted]:
    noted, bare = error.group_exceptions()
    return [*noted, *((inner, None) for inner in bare)]


def _alias(target: Any, name: str) -> str:
    return str(attrs.fields_dict(target)[name].alias) if attrs.has(target) else name


def _item(value: object, step: str | int) -> tuple[bool, object]:
    """Whether there is something at this step into a value, and what."""
    try:
        return True, value[step]  # type: ignore[index]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType]  # asked, not known
    except (LookupError, TypeError):
        return False, None


class _Trial:
    """Runs the converters and validators of a settings class one by one, to see which key is refused.

    ``values`` are those of the keys that are there and of the right types.
    """

    def __init__(
        self, converter: StrictConverter, target: type[attrs.AttrsInstance], raw: Mapping[str, object]
    ) -> None:
        self._fields: dict[str, attrs.Attribute[Any]] = {
            field.alias or field.name: field for field in attrs.fields(target) if field.init
        }
        self.values: dict[str, object] = {}
        for key in [key for key in self._fields if key in raw]:
            # What is not of its type was told before.
            with suppress(Exception):
                self.values[key] = converter.structure(raw[key], self._fields[key].type or object)
        self._instance = object.__new__(target)

    def blamed(self) -> dict[str, Exception]:
        """What each refused key was refused with; empty where all are fine by themselves."""
        found: dict[str, Exception] = {}
        for step in (self._convert, self._validate):
            for key in [key for key in self.values if key not in found]:
                try:
                    step(key)
                except Exception as error:  # noqa: BLE001  # handed to the caller
                    if not self._misses_another_key(error):
                        found[key] = error
        return found

    def _misses_another_key(self, error: Exception) -> bool:
        return isinstance(error, AttributeError) and error.obj is self._instance

    def _convert(self, key: str) -> None:
        field, value = self._fields[key], self.values[key]
        convert: object = field.converter  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # of any types
        more = (self._instance, field) if isinstance(convert, attrs.Converter) else ()
        if convert is not None:
            value = _call(convert, value, *more)
        # The classes are frozen, and this is no instance that anybody will see.
        object.__setattr__(self._instance, field.name, value)

    def _validate(self, key: str) -> None:
        field = self._fields[key]
        if field.validator is not None:
            field.validator(self._instance, field, getattr(self._instance, field.name))


def _call(function: Any, *arguments: object) -> object:
    # attrs.Converter can be called; its stubs do not say so.
    return function(*arguments)
