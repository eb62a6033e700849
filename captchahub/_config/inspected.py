"""A configuration, with where each of its values came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from captchahub._config.problems import (
    KeyPath,
    LocatedProblem,
    Problem,
    Problems,
    dotted,
    line_of,
    variable_of,
)
from captchahub._config.references import references_in
from captchahub.errors import ConfigError
from captchahub.settings import HubSettings

__all__ = ["Inspected"]


@attrs.frozen
class Inspected:
    """What was read from a file.

    ``settings`` is None if something essential is missing. ``written`` has the values as they stand in the
    file and the environment; ``resolved`` has them with their references followed, so it can hold secrets.
    """

    settings: HubSettings | None
    file: str
    lines: Mapping[KeyPath, int]
    written: object = attrs.field(repr=False)
    resolved: object = attrs.field(repr=False)
    _problems: Problems = attrs.field(repr=False)

    @property
    def problems(self) -> Sequence[LocatedProblem]:
        """The problems, in the order of the file."""
        return self._problems.located(self.file, self.lines)

    def checked(self) -> HubSettings:
        """Return the settings. Raises :class:`~captchahub.errors.ConfigError` with every problem there is."""
        if self.settings is None or self._problems.found:
            raise ConfigError("\n".join(map(str, self.problems))) from self._problems.cause
        return self.settings

    def located(self, message: str) -> LocatedProblem:
        """Return a problem found elsewhere, whose message begins with its place, with its position."""
        word, _colon, rest = message.partition(": ")
        named = {dotted(place): place for place in {*self.lines, *self._problems.overrides}}
        parts = word.split(".")
        around = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        place = next((named[name] for name in around if name in named), ())
        found = self._problems.locate(Problem(place, rest), self.file, self.lines)
        return attrs.evolve(found, place=word)

    def source(self, place: KeyPath) -> str:
        """Return where the value at a place came from, as in ``$OMO_TOKEN, config.yaml:4``."""
        variable = variable_of(place, self.lines, self._problems.overrides)
        written = f"{self.file}:{line_of(place, self.lines)}" if variable is None else f"${variable}"
        return ", ".join([*_references(value_at(self.written, place)), written])


def _references(value: object) -> Iterator[str]:
    for scheme, name in dict.fromkeys(references_in(value)):
        yield f"${name}" if scheme == "env" else f"{scheme} {name}"


def value_at(value: object, place: KeyPath) -> object:
    """Return what stands at a place in plain values, or None if there is nothing."""
    for step in place:
        try:
            value = value[step]  # type: ignore[index]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType]  # asked, not known
        except (LookupError, TypeError):
            return None
    return value  # pyright: ignore[reportUnknownVariableType]  # of any type
