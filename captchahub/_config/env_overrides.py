"""Environment variables that override single keys, such as ``CAPTCHAHUB__PROVIDERS__OMO__TIMEOUT=30s``.

Keys are written in any case, with ``_`` for ``-`` and ``.``, and with ``__`` between them. A value is read as
YAML, as in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import attrs

from captchahub._config.plain_values import items_in, mapping_in
from captchahub._config.problems import KeyPath, Problems, ValueOrigin
from captchahub._config.yaml_documents import Document, parse_document
from captchahub._support.wording import advise

PREFIX = "CAPTCHAHUB__"
"""The beginning of the names of these variables."""

KnownKeys = Callable[[KeyPath, Mapping[str, object]], Iterable[str]]
"""Returns the keys that only plugins know of the mapping at a place, given the whole configuration."""

BETWEEN = "__"
"""The separator between two keys in a name."""

_NOT_TEXT = "a key in it is not text; put it in quotes, or the whole if it is one text"


class _Refused(Exception):
    """A variable that sets no key: the place up to which its name was understood, and what to do."""

    def __init__(self, place: KeyPath, message: str) -> None:
        super().__init__(message)
        self.place = place


def override(
    document: Document, environment: Mapping[str, str], known: KnownKeys, problems: Problems
) -> Document:
    """Return the document with the values of the environment; ``problems`` gets the places that they set."""
    if not _is_mapping(document.value):
        return document  # SettingsReader reports that it is no configuration
    applied = _Overridden(mapping_in(document.value), dict(document.lines), known, problems)
    # A variable that sets a whole mapping is applied before those that set a key in it.
    for variable in sorted((name for name in environment if name.startswith(PREFIX)), key=_turn):
        applied.apply(variable, environment[variable])
    return Document(applied.top, applied.lines)


def _turn(variable: str) -> tuple[bool, int, str]:
    # Blocked plugins come first, because another variable may need a plugin imported for its keys.
    return not variable.upper().startswith(f"{PREFIX}PLUGINS"), variable.count(BETWEEN), variable


@attrs.frozen
class _Overridden:
    """The document with the variables that have been applied so far."""

    top: dict[str, object]
    lines: dict[KeyPath, int]
    known: KnownKeys
    problems: Problems

    def apply(self, variable: str, text: str) -> None:
        """Set the key that one variable names; report the variable if there is no such key."""
        try:
            place = self._place(variable)
            if place in self.problems.overrides:
                other = self.problems.overrides[place]
                raise _Refused(place, f"{other} and {variable} both set it; leave one of them out")
            # Blank lines and comments are an empty file to YAML, whose advice would not fit here.
            if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
                raise _Refused(place, "the variable is empty; give it a value, or unset it")
        except _Refused as refusal:
            self.problems.add(refusal.place, str(refusal), variable=variable)
        else:
            self._put(place, variable, text)

    def _place(self, variable: str) -> KeyPath:
        place: KeyPath = ()
        rest = variable.removeprefix(PREFIX).upper()
        here: object = self.top
        while rest:
            if not _is_mapping(here):
                whole = f"{PREFIX}{BETWEEN.join(as_variable(str(step)) for step in place)}"
                message = "there is no mapping here in which a key could be set"
                raise _Refused(place, f"{message}; set the whole of it with {whole}")
            key, rest = self._step(rest, mapping_in(here), place)
            place = (*place, key)
            here = mapping_in(here).get(key, {})
        if not place or variable.endswith(BETWEEN):
            raise _Refused(place, f"the variable ends without a key; write it as {PREFIX}TIMEOUT")
        return place

    def _step(self, rest: str, mapping: Mapping[str, object], place: KeyPath) -> tuple[str, str]:
        """Return the key that the rest of a name begins with, and what remains after it."""
        found = _matching(rest, mapping)
        # The file defines the providers, so another name in a variable is a misspelt one.
        if not found and place == ("providers",):
            word = rest.partition(BETWEEN)[0].lower()
            advice = advise(word, mapping, "defined in the file")
            raise _Refused((*place, word), f"there is no such provider to override; {advice}")
        found = found or _matching(rest, set(self.known(place, self.top)))
        if len(found) > 1:
            named = " and ".join(repr(key) for key in found)
            raise _Refused(place, f"the name can mean {named}; rename one of them, or write it in the file")
        if not found:
            # SettingsReader reports it, with the keys that are valid there.
            found = [rest.partition(BETWEEN)[0].lower()]
        if not found[0]:
            raise _Refused(place, f"there is no key between two '{BETWEEN}'; leave one of these out")
        return found[0], rest[len(as_variable(found[0])) + len(BETWEEN) :]

    def _put(self, place: KeyPath, variable: str, text: str) -> None:
        read = Problems()
        value = parse_document(text, read)
        for problem in read.found:
            # A token that looks like a mapping has a piece of itself as a key, so no key is repeated.
            self.problems.add(place, _NOT_TEXT if problem.message.startswith("the key ") else problem.message)
        self.problems.unreadable.update((*place, *unreadable) for unreadable in read.unreadable)
        if value is None:
            self.problems.unreadable.add(place)
        # The file has lines for what the variable replaces, and they would be shown in place of its name.
        for inner in [inner for inner in self.lines if inner[: len(place)] == place]:
            del self.lines[inner]
        self.problems.overrides[place] = variable
        here = self.top
        for step in map(str, place[:-1]):
            here = mapping_in(here.setdefault(step, {}))  # _place() has checked that it is one
        here[str(place[-1])] = None if value is None else value.value
        self._note_origins(here[str(place[-1])], place, f"${variable}")

    def _note_origins(self, value: object, place: KeyPath, name: str) -> None:
        for step, item in items_in(value):
            self._note_origins(item, (*place, step), name)
        if not isinstance(value, (dict, list)):
            texts = (value,) if isinstance(value, str) else ()
            self.problems.origins[place] = ValueOrigin(name, texts, is_reference=False)


def _matching(rest: str, keys: Iterable[str]) -> list[str]:
    """Return the keys that the rest of a name can begin with, sorted."""
    names = ((key, as_variable(key)) for key in keys)
    return sorted(key for key, name in names if name and f"{rest}{BETWEEN}".startswith(f"{name}{BETWEEN}"))


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def as_variable(key: str) -> str:
    """Return a key as it stands in the name of a variable."""
    return re.sub("[-.]", "_", key).upper()
