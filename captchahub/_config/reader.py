"""Reads typed values, and reports what cattrs and a plugin's own checks refuse as problems at their keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import attrs
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from captchahub._config.plain_values import value_at
from captchahub._config.problems import InvalidValue, KeyPath, Problems
from captchahub._config.scalars import ReadContext
from captchahub._config.structure import prepare, structured
from captchahub._config.type_info import keys_of, settings_fields
from captchahub._support.redaction import secrets_in
from captchahub._support.wording import advise
from captchahub.settings import ProviderSettings

_REVEALING = 8
"""How many characters in a row reveal a part of a secret; fewer are in common words, such as 'token'."""

_Grouped = ClassValidationError | IterableValidationError

_MISSING = object()


@attrs.frozen
class ValueReader:
    """Turns plain values into typed ones, and reports what does not fit to ``problems``."""

    context: ReadContext
    problems: Problems

    def read(self, value: object, target: Any, place: KeyPath) -> Any:
        """Return the value as a ``target``, or None if it does not fit."""
        try:
            return structured(value, target, self.context)
        except Exception as error:  # noqa: BLE001  # whatever a plugin's own checks raise is reported, not lost
            self._report(error, value, target, place)
            return None

    def fields(
        self,
        raw: Mapping[str, object],
        target: type[Any],
        place: KeyPath,
        *,
        skip: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Return the fields of a settings class that are in a mapping and fit, by their names in Python.

        The class keeps its defaults for all others. The caller reads the keys to ``skip``, and those of a
        class that stands inline.
        """
        read = {
            field.path[0]: self.read(raw[field.key], field.type, (*place, field.key))
            for field in settings_fields(target)
            if field.key in raw and field.key not in skip and len(field.path) == 1
        }
        return {name: value for name, value in read.items() if value is not None}

    def refuse_unknown(self, raw: Iterable[str], valid: Sequence[str], place: KeyPath) -> None:
        """Report the keys of a mapping that are none of the valid ones."""
        for key in raw:
            if key not in valid:
                self.problems.add((*place, key), unknown_key(key, valid))

    def report_invalid(self, error: InvalidValue, place: KeyPath) -> None:
        """Report a value that is not of its type, unless the value itself could not be read."""
        if place in self.problems.unreadable:
            return
        followed = place in self.problems.origins
        if error.hidden and not followed:
            found = "something else, which is not shown as it may be a secret"
        else:
            found = self.problems.shown(place, error.value)
        advice = (not followed and error.guess) or error.advice or self.problems.hints.get(place)
        ending = f"; {advice}" if advice else ""
        self.problems.add(place, f"expected {error.expected}, found {found}{ending}")

    def _report(self, error: Exception, value: object, target: Any, place: KeyPath) -> None:
        if isinstance(error, InvalidValue):
            self.report_invalid(error, place)
        elif isinstance(error, ForbiddenExtraKeysError):
            self.refuse_unknown(sorted(error.extra_fields), keys_of(error.cl), place)
        elif isinstance(error, _Grouped):
            self._report_group(error, value, place)
        else:
            self._report_check(error, value, target, place)

    def _report_group(self, group: _Grouped, value: object, place: KeyPath) -> None:
        noted, bare = group.group_exceptions()
        for error in bare:
            self._report(error, value, group.cl, place)
        for error, note in noted:
            step = _step(note, group.cl)
            item = value_at(value, (step,), _MISSING)
            if item is _MISSING:
                self.problems.add((*place, step), "missing; the plugin needs it")
            else:
                self._report(error, item, note.type, (*place, step))
        if noted or any(isinstance(error, ForbiddenExtraKeysError) for error in bare):
            # cattrs has not built the class, so the plugin's own checks have not run yet.
            self._report_refused(value, group.cl, place)

    def _report_check(self, error: Exception, value: object, target: Any, place: KeyPath) -> None:
        """Report what a check of the plugin raised; it runs again key by key, to find the key."""
        checks = self._report_refused(value, target, place)
        if checks is None:
            reason = f"the plugin can't take this value ({type(error).__name__})"
            self.problems.add(place, f"{reason}; leave the key out, and report this to the plugin's author")
        # A value that could not be read is None for the check, and has been reported.
        elif not checks.refused and not self.problems.is_unreadable(place):
            self.problems.add(place, self._plugin_words(error, checks.values, place))

    def _report_refused(self, value: object, target: Any, place: KeyPath) -> _FieldChecks | None:
        """Report which keys of a settings class its own checks refuse; None for values of other types."""
        if not (isinstance(target, type) and attrs.has(target) and isinstance(value, dict)):
            return None
        raw: dict[str, object] = value  # pyright: ignore[reportUnknownVariableType]  # its keys are text
        # What could not be read is None here, and no check was written for that.
        read = {key: item for key, item in raw.items() if not self.problems.is_unreadable((*place, key))}
        checks = _FieldChecks(target, read, self.context)
        for key, error in checks.refused.items():
            self.problems.add((*place, key), self._plugin_words(error, checks.values[key], (*place, key)))
        return checks

    def _plugin_words(self, error: Exception, value: object, place: KeyPath) -> str:
        """Return what the plugin said, unless that repeats a secret or a value that came from a reference."""
        words = words_of(error)
        origins = self.problems.origins_under(place)
        hidden = [*(text for origin in origins for text in origin.texts), *secrets_in(value)]
        if not any(_repeats(words, text) for text in hidden):
            return words
        came = f" from {' and '.join(origin.name for origin in origins)}" if origins else ""
        return f"the plugin refuses this value{came}, in words that repeat it; see the plugin's own page"


def _repeats(words: str, hidden: str) -> bool:
    """Whether the words hold a part of the hidden text that is long enough, or all of a short text."""
    words, text = words.casefold(), " ".join(hidden.casefold().split())
    return any(
        text[start : start + _REVEALING] in words for start in range(max(1, len(text) - _REVEALING + 1))
    )


def unknown_key(key: str, valid: Iterable[str]) -> str:
    """Return the message for a key that nothing reads."""
    return f"unknown key; {advise(key, valid, 'valid keys')}"


def settings_fault(target: Any) -> str | None:
    """Return why a plugin's settings class can't be filled from a configuration, or None if it can."""
    if not (isinstance(target, type) and attrs.has(target)):
        return "its settings are not an attrs class"
    try:
        own = keys_of(target)
        prepare(target)
    except Exception as error:  # noqa: BLE001  # a plugin's annotations can fail in any way
        return f"its settings class can't be read ({type(error).__name__}: {words_of(error)})"
    clash = sorted({*own} & {*keys_of(ProviderSettings)})
    return f"its settings have keys that every provider has: {', '.join(clash)}" if clash else None


def words_of(error: Exception) -> str:
    """Return the message of an exception, on one line; attrs puts more than the message into its own."""
    words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return " ".join(words.split()) or type(error).__name__


def _step(note: AttributeValidationNote | IterableValidationNote, target: Any) -> str | int:
    """Return the key or the position that a note of cattrs is about; cattrs names a field as Python does."""
    if isinstance(note, IterableValidationNote):
        return note.index
    return str(attrs.fields_dict(target)[note.name].alias) if attrs.has(target) else note.name


class _FieldChecks:
    """The converters and validators of a settings class, run one by one to see which key they refuse.

    ``values`` has the keys that are there and whose values are of the right types; ``refused`` those that are
    refused by themselves, each with what was raised.
    """

    def __init__(
        self, target: type[attrs.AttrsInstance], raw: Mapping[str, object], context: ReadContext
    ) -> None:
        self._fields: dict[str, attrs.Attribute[Any]] = {
            field.alias or field.name: field for field in attrs.fields(target) if field.init
        }
        self.values: dict[str, object] = {}
        for key in [key for key in self._fields if key in raw]:
            # A value that is not of its type has been reported already.
            with suppress(Exception):
                self.values[key] = structured(raw[key], self._fields[key].type or object, context)
        # Validators take the instance. Its class cannot build one, because a key is refused or missing.
        self._instance = object.__new__(target)
        self.refused: dict[str, Exception] = {}
        # All converters first, as in a class that attrs builds: a validator may look at other fields.
        for check in (self._convert, self._validate):
            for key in [key for key in self.values if key not in self.refused]:
                try:
                    check(key)
                except Exception as error:  # noqa: BLE001  # returned to the caller
                    # A check that reads a field which is missing or refused itself has found nothing wrong.
                    if not (isinstance(error, AttributeError) and error.obj is self._instance):
                        self.refused[key] = error

    def _convert(self, key: str) -> None:
        field, value = self._fields[key], self.values[key]
        converter: object = field.converter  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # of any types
        more = (self._instance, field) if isinstance(converter, attrs.Converter) else ()
        if converter is not None:
            # attrs.Converter can be called; its stubs do not say so.
            value = cast("Any", converter)(value, *more)
        # The class is frozen, and this instance never leaves this module.
        object.__setattr__(self._instance, field.name, value)

    def _validate(self, key: str) -> None:
        field = self._fields[key]
        if field.validator is not None:
            field.validator(self._instance, field, getattr(self._instance, field.name))
