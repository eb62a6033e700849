"""The configuration: a YAML file or a mapping, made into frozen settings or refused with every problem."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from captchahub._config.env_overrides import override
from captchahub._config.inspected import Inspected
from captchahub._config.loader import Loader, block_plugins, inspect_document, settings_or_error
from captchahub._config.mappings import plain
from captchahub._config.problems import EXAMPLE, Problems
from captchahub._config.references import resolve
from captchahub._config.yaml_documents import Document, parse_document, read_document
from captchahub._plugins.manager import Plugins
from captchahub._support.paths import expanded, working_directory
from captchahub._support.wording import shown
from captchahub.errors import ConfigError
from captchahub.settings import HubSettings

__all__ = ["Source", "block_as_configured", "inspect_yaml", "load_mapping", "load_yaml"]


def load_yaml(path: Path, plugins: Plugins) -> HubSettings:
    """The settings in a YAML file; relative paths in it begin at its directory.

    Environment variables such as ``CAPTCHAHUB__PROVIDERS__OMO__TIMEOUT`` override single keys of it. Raises
    :class:`~captchahub.errors.ConfigError` that lists every problem with file, line and place.
    """
    problems = Problems()
    return settings_or_error(
        inspect_document(path, read_document(path, problems), plugins, problems), problems
    )


def inspect_yaml(path: Path, plugins: Plugins, text: str | None = None) -> Inspected:
    """The same with where each value came from, and with the problems there are instead of an error.

    ``text`` is read in place of what the file holds.
    """
    problems = Problems()
    document = read_document(path, problems) if text is None else parse_document(text, problems)
    return inspect_document(path, document, plugins, problems)


def block_as_configured(path: Path | None, plugins: Plugins) -> None:
    """Block what a file, if it is there, and the environment block, whatever else may be wrong."""
    problems = Problems()
    document = read_document(path, problems) if path is not None and path.exists() else None
    read = override(document or Document({}, {}), os.environ, lambda _place, _top: (), problems)
    block_plugins(plugins, read.value, Path() if path is None else path.parent)


def load_mapping(mapping: Mapping[str, object], plugins: Plugins) -> HubSettings:
    """The settings in a mapping of the same shape and the same strict types as the file.

    Texts can hold ``${env:NAME}`` here too, so a literal ``${`` is written ``$${``; relative paths begin at
    the working directory. The environment overrides nothing: the program has said what it wants. Raises
    :class:`~captchahub.errors.ConfigError` that lists every problem.
    """
    # Callers need not use a type checker, and a file without a line is None to YAML.
    if not isinstance(mapping, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(_no_mapping(mapping))
    problems = Problems()
    settings = None
    value = plain(mapping, problems)
    if value is not None:
        settings = Loader(plugins, problems, Path()).settings(resolve(value, (), Path(), problems))
    if settings is None or problems.found:
        raise ConfigError("\n".join(map(str, problems.located(None, {})))) from problems.cause
    return settings


def _no_mapping(given: object) -> str:
    # Its text is not repeated, for it may hold a token.
    found = "text" if isinstance(given, str) else shown(given)
    is_path = isinstance(given, (str, os.PathLike))
    instead = "a file is read with from_yaml(path)" if is_path else f"give one such as {EXAMPLE}"
    return f"the configuration: expected a mapping, found {found}; {instead}"


@attrs.frozen
class LoadedConfiguration:
    """The settings of a hub, and the plugins that were loaded for them."""

    settings: HubSettings
    plugins: Plugins


@attrs.frozen
class Source:
    """Where the settings of a hub come from; ``path`` is None where they were given."""

    path: Path | None = attrs.field(default=None, converter=attrs.converters.optional(expanded))
    plugins: tuple[object, ...] = ()
    base: Path | None = attrs.field(factory=working_directory)
    """Where a relative path begins, wherever the program works later; None where nobody knows."""

    def read(self) -> LoadedConfiguration:
        """Read the file as it is now."""
        if self.path is None:
            raise RuntimeError(
                "this hub was made of settings and not by from_yaml: there is no file to reload"
            )
        # As it was written, where that is still the same file: problems are told with it.
        path = self.path
        if self.base is not None and self.base != working_directory():
            path = self.base / path
        plugins = Plugins(self.plugins)
        return LoadedConfiguration(load_yaml(path, plugins), plugins)
