"""A configuration, with where each of its values came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from captchahub._config.plain_values import value_at
from captchahub._config.problems import KeyPath, LocatedProblem, Problem, Problems, dotted
from captchahub._config.references import references_in
from captchahub.errors import ConfigError
from captchahub.settings import HubSettings


@attrs.frozen
class Inspected:
    """What was read from a file, or from a mapping: then ``file`` is None and nothing has a line.

    ``settings`` is None if something essential is missing. ``written`` has the values as they stand in the
    file and the environment; ``resolved`` has them with their references followed, so it can hold secrets.
    """

    settings: HubSettings | None
    file: str | None
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
        # The place may be a key that the file leaves out, so the nearest one around it counts.
        parts = word.split(".")
        around = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        place = next((named[name] for name in around if name in named), ())
        found = self._problems.locate(Problem(place, rest), self.file, self.lines)
        return attrs.evolve(found, place=word)

    def source(self, place: KeyPath) -> str:
        """Return where the value at a place came from, as in ``$OMO_TOKEN, config.yaml:4``."""
        sources = [
            f"${name}" if scheme == "env" else f"{scheme} {name}"
            for scheme, name in references_in(value_at(self.written, place))
        ]
        variable, line = self._problems.position(place, self.lines)
        sources.append(f"${variable}" if variable else f"{self.file}:{line}")
        # A text may refer to the same variable twice.
        return ", ".join(dict.fromkeys(sources))
