"""Where the settings of a hub come from, so that they can be read again."""

from __future__ import annotations

from pathlib import Path

import attrs

from captchahub._folders import working_directory
from captchahub._plugins import Plugins
from captchahub._user_paths import expanded
from captchahub.config import load_yaml
from captchahub.settings import HubSettings

__all__ = ["Source"]


@attrs.frozen
class Source:
    """Where the settings of a hub come from; ``path`` is None where they were given."""

    path: Path | None = attrs.field(default=None, converter=attrs.converters.optional(expanded))
    plugins: tuple[object, ...] = ()
    base: Path | None = attrs.field(factory=working_directory)
    """Where a relative path begins, wherever the program works later; None where nobody knows."""

    def read(self) -> HubSettings:
        """The settings as they are there now."""
        if self.path is None:
            raise RuntimeError(
                "this hub was made of settings and not by from_yaml: there is no file to reload"
            )
        # As it was written, where that is still the same file: problems are told with it.
        path = self.path
        if self.base is not None and self.base != working_directory():
            path = self.base / path
        return load_yaml(path, Plugins(self.plugins))
