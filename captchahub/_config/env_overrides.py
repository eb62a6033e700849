"""Single keys from the environment, such as ``CAPTCHAHUB__PROVIDERS__OMO__TIMEOUT=30s``.

Names of keys are written in any case, with ``_`` for ``-`` and ``.``, and ``__`` between them. The value is
read as the file's own values are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import attrs

from captchahub._config.problems import KeyPath, Origin, Problems, items_in, mapping_in
from captchahub._config.yaml_documents import Document, parse_document
from captchahub._support.wording import advise

__all__ = ["BETWEEN", "PREFIX", "as_variable", "override"]

PREFIX = "CAPTCHAHUB__"
"""What the names of these variables begin with."""

KnownKeys = Callable[[KeyPath, Mapping[str, object]], Iterable[str]]
"""The keys that the mapping at a place can have, given the whole configuration; as many as matter here."""

BETWEEN = "__"
"""What stands between two keys in them."""

_NOT_TEXT = "a key in it is not text; put it in quotes, or the whole if it is one text"

_NAMES = ("providers",)
"""Mappings whose keys are names that the file defines, so that a new one is a misspelt one."""


class _Refused(Exception):
    """A variable that leads nowhere: the place where that was found, and what to do."""

    def __init__(self, place: KeyPath, message: str) -> None:
        super().__init__(message)
        self.place = place


def override(
    document: Document, environment: Mapping[str, str], known: KnownKeys, problems: Problems
) -> Document:
    """The document with the values of the environment in their places, which ``problems`` then knows."""
    if not _is_mapping(document.value):
        return document  # told as no configuration
    applied = _Applied(mapping_in(document.value), dict(document.lines), known, problems)
    # What sets a whole goes before what sets a key in it.
    for variable in sorted((name for name in environment if name.startswith(PREFIX)), key=_depth):
        applied.apply(variable, environment[variable])
    return Document(applied.top, applied.lines)


def _depth(variable: str) -> tuple[bool, int, str]:
    # Which plugins are blocked is known before any is imported for the names of its keys.
    return not variable.upper().startswith(f"{PREFIX}PLUGINS"), variable.count(BETWEEN), variable


@attrs.frozen
class _Applied:
    """What the document is by now."""

    top: dict[str, object]
    lines: dict[KeyPath, int]
    known: KnownKeys
    problems: Problems

    def apply(self, variable: str, text: str) -> None:
        """Put one variable's value into its place; one that leads nowhere is told."""
        try:
            place = self._place(variable)
            if place in self.problems.overrides:
                other = self.problems.overrides[place]
                raise _Refused(place, f"{other} and {variable} both set it; leave one of them out")
            if _is_empty(text):
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
                told = "there is no mapping here in which a key could be set"
                raise _Refused(place, f"{told}; set the whole of it with {whole}")
            key, rest = self._step(rest, mapping_in(here), place)
            place = (*place, key)
            here = mapping_in(here).get(key, {})
        if not place or variable.endswith(BETWEEN):
            raise _Refused(place, f"the variable ends without a key; write it as {PREFIX}TIMEOUT")
        return place

    def _step(self, rest: str, mapping: Mapping[str, object], place: KeyPath) -> tuple[str, str]:
        """The key that the rest of a name begins with, and what is left then."""
        found = _matching(rest, mapping)
        if not found and place == _NAMES:
            word = rest.partition(BETWEEN)[0].lower()
            told = advise(word, mapping, "defined in the file")
            raise _Refused((*place, word), f"there is no such provider to override; {told}")
        found = found or _matching(rest, set(self.known(place, self.top)))
        if len(found) > 1:
            named = " and ".join(repr(key) for key in found)
            raise _Refused(place, f"the name can mean {named}; rename one of them, or write it in the file")
        if not found:
            # The loader tells what would be valid in its place.
            found = [rest.partition(BETWEEN)[0].lower()]
        if not found[0]:
            raise _Refused(place, f"there is no key between two '{BETWEEN}'; leave one of these out")
        return found[0], rest[len(as_variable(found[0])) + len(BETWEEN) :]

    def _put(self, place: KeyPath, variable: str, text: str) -> None:
        read = Problems()
        value = parse_document(text, read)
        for problem in read.found:
            # A key can be a piece of a token that looks like a mapping, so none is repeated.
            self.problems.add(place, _NOT_TEXT if problem.message.startswith("the key ") else problem.message)
        self.problems.spoilt.update((*place, *spoilt) for spoilt in read.spoilt)
        if value is None:
            self.problems.spoilt.add(place)
        for inner in [inner for inner in self.lines if inner[: len(place)] == place]:
            del self.lines[inner]
        self.problems.overrides[place] = variable
        here = self.top
        for step in map(str, place[:-1]):
            here = mapping_in(here.setdefault(step, {}))  # _place() saw to it that it is one
        here[str(place[-1])] = None if value is None else value.value
        self._note_origins(here[str(place[-1])], place, f"${variable}")

    def _note_origins(self, value: object, place: KeyPath, name: str) -> None:
        for step, item in items_in(value):
            self._note_origins(item, (*place, step), name)
        if not isinstance(value, (dict, list)):
            texts = (value,) if isinstance(value, str) else ()
            self.problems.origins[place] = Origin(name, texts, is_reference=False)


def _matching(rest: str, keys: Iterable[str]) -> list[str]:
    """The keys that the rest of a name can begin with, sorted."""
    names = ((key, as_variable(key)) for key in keys)
    return sorted(key for key, name in names if name and f"{rest}{BETWEEN}".startswith(f"{name}{BETWEEN}"))


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_empty(text: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())


def as_variable(key: str) -> str:
    """A key as the name of a variable has it."""
    return re.sub("[-.]", "_", key).upper()
