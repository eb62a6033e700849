"""The configuration: a YAML file or a mapping, turned into frozen settings or refused with every problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from captchahub._plugins.manager import Plugins
from captchahub._support.paths import expanded, working_directory
from captchahub.settings import HubSettings

__all__ = ["LoadedConfiguration", "Plugins", "Source", "load_mapping", "load_yaml"]


def load_yaml(path: Path, *, plugins: Sequence[object] = ()) -> HubSettings:
    """Return the settings in a YAML file; relative paths in it begin at its directory.

    Environment variables such as ``CAPTCHAHUB__PROVIDERS__OMO__TIMEOUT`` override single keys of it.
    ``plugins`` are plugin objects that are not installed. Raises :class:`~captchahub.errors.ConfigError` that
    lists every problem with file, line and place.
    """
    return read_yaml(path, Plugins(plugins))


def load_mapping(mapping: Mapping[str, object], *, plugins: Sequence[object] = ()) -> HubSettings:
    """Return the settings in a mapping of the same shape and the same strict types as the file.

    Texts can hold ``${env:NAME}`` here too, so a literal ``${`` is written ``$${``. Relative paths begin at
    the working directory. Environment variables override nothing, because the program has said what it wants.
    ``plugins`` are plugin objects that are not installed. Raises :class:`~captchahub.errors.ConfigError` that
    lists every problem.
    """
    return read_mapping(mapping, Plugins(plugins))


def read_yaml(path: Path, plugins: Plugins) -> HubSettings:
    """Return the settings in a YAML file, and load the plugins that it names, as :func:`load_yaml` does."""
    # yaml and cattrs come with it, and a program that only imports this module needs neither.
    from captchahub._config import loader  # noqa: PLC0415 - see above

    return loader.read_yaml(path, plugins)


def read_mapping(mapping: Mapping[str, object], plugins: Plugins) -> HubSettings:
    """Return the settings in a mapping, and load the plugins that it names, as :func:`load_mapping` does."""
    # As in read_yaml.
    from captchahub._config import loader  # noqa: PLC0415 - see above

    return loader.read_mapping(mapping, plugins)


@attrs.frozen
class LoadedConfiguration:
    """The settings of a hub, and the plugins that were loaded for them."""

    settings: HubSettings
    plugins: Plugins


@attrs.frozen
class Source:
    """Where the settings of a hub come from; ``path`` is None if the caller passed them."""

    path: Path | None = attrs.field(default=None, converter=attrs.converters.optional(expanded))
    plugins: tuple[object, ...] = ()
    base: Path | None = attrs.field(factory=working_directory)
    """Where a relative path begins, even if the working directory changes; None if that did not exist."""

    def read(self) -> LoadedConfiguration:
        """Read the file as it is now.

        Raises :class:`~captchahub.errors.ConfigError` with every problem, or RuntimeError without a file.
        """
        if self.path is None:
            raise RuntimeError(
                "this hub was made of settings and not by from_yaml: there is no file to reload"
            )
        # The path as the caller wrote it, if that is still the same file, because messages begin with it.
        path = self.path
        if self.base is not None and self.base != working_directory():
            path = self.base / path
        # New plugins at each reading, so that one that was installed or blocked since then is noticed.
        plugins = Plugins(self.plugins)
        return LoadedConfiguration(read_yaml(path, plugins), plugins)
