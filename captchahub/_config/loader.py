"""Reads configurations: a YAML file with the environment, or a mapping."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import attrs

from captchahub._config.env_overrides import override
from captchahub._config.inspected import Inspected
from captchahub._config.names import task_kinds
from captchahub._config.near_variables import report_near_variables
from captchahub._config.plain_values import items_in, mapping_in, plain, value_at
from captchahub._config.problems import EXAMPLE, KeyPath, Problems
from captchahub._config.references import resolve
from captchahub._config.settings_reader import BLOCKED_BY, SettingsReader
from captchahub._config.type_info import keys_of
from captchahub._config.yaml_documents import Document, parse_document, read_document
from captchahub._plugins.manager import Plugins, Unusable
from captchahub._support.wording import shown
from captchahub.errors import ConfigError
from captchahub.provider import ProviderKind
from captchahub.settings import HubSettings, JournalSettings


def read_yaml(path: Path, plugins: Plugins) -> HubSettings:
    """Return the settings in a YAML file, and load the plugins that it names.

    Raises :class:`~captchahub.errors.ConfigError` with every problem.
    """
    return inspect_yaml(path, plugins).checked()


def inspect_yaml(path: Path, plugins: Plugins, text: str | None = None) -> Inspected:
    """Return what a file says, with where each value came from and every problem; raise nothing.

    ``text`` is read instead of the content of the file.
    """
    problems = Problems()
    document = read_document(path, problems) if text is None else parse_document(text, problems)
    if document is not None:
        base = path.parent
        # Before anything else: to match a variable with a key, a plugin may have to be imported for its keys.
        _block_plugins(plugins, document.value, base)
        report_near_variables(document.value, os.environ, problems)
        document = override(document, os.environ, partial(_known_keys, plugins, base), problems)
    return _inspected(document, str(path), path.parent, plugins, problems)


def read_journal(path: Path) -> JournalSettings:
    """Return where the journal of a YAML file is, although other keys of the file may have problems.

    So that the journal can be read without the tokens of the accounts. Raises
    :class:`~captchahub.errors.ConfigError` if the file can't be read, or if the key has a problem.
    """
    inspected = inspect_yaml(path, Plugins())
    of_journal = [one for one in inspected.problems if one.place.split(".")[0] == "journal"]
    if of_journal:
        raise ConfigError("\n".join(map(str, of_journal)))
    return inspected.checked().journal if inspected.settings is None else inspected.settings.journal


def read_mapping(mapping: Mapping[str, object], plugins: Plugins) -> HubSettings:
    """Return the settings in a mapping, and load the plugins that it names.

    Raises :class:`~captchahub.errors.ConfigError` with every problem.
    """
    # Callers need not use a type checker, and an empty file is None to YAML.
    if not isinstance(mapping, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(_no_mapping(mapping))
    problems = Problems()
    value = plain(mapping, problems)
    document = None if value is None else Document(value, {})
    return _inspected(document, None, Path(), plugins, problems).checked()


def _no_mapping(given: object) -> str:
    # A text is not repeated, because it may hold a token.
    found = "text" if isinstance(given, str) else shown(given)
    is_path = isinstance(given, (str, os.PathLike))
    instead = "a file is read with from_yaml(path)" if is_path else f"give one such as {EXAMPLE}"
    return f"the configuration: expected a mapping, found {found}; {instead}"


def _inspected(
    document: Document | None, file: str | None, base: Path, plugins: Plugins, problems: Problems
) -> Inspected:
    if document is None:
        return Inspected(None, file, {}, None, None, problems)
    resolved = resolve(document.value, (), base, problems)
    settings = SettingsReader(plugins, problems, base).settings(resolved)
    return Inspected(settings, file, document.lines, document.value, resolved, problems)


def block_as_configured(path: Path | None, plugins: Plugins) -> None:
    """Block the plugins that a file, if it exists, and the environment block; ignore all other problems."""
    # Commands that need no configuration must work with a broken one, but import nothing that it blocks.
    problems = Problems()
    document = read_document(path, problems) if path is not None and path.exists() else None
    read = override(document or Document({}, {}), os.environ, lambda _place, _top: (), problems)
    _block_plugins(plugins, read.value, Path() if path is None else path.parent)


def _block_plugins(plugins: Plugins, top: object, base: Path) -> None:
    """Block the plugins that ``plugins.block`` names. Problems with it are left to SettingsReader."""
    blocked = resolve(value_at(top, ("plugins", "block")), (), base, Problems())
    plugins.block([name for _, name in items_in(blocked) if isinstance(name, str)], BLOCKED_BY)


def _known_keys(plugins: Plugins, base: Path, place: KeyPath, top: Mapping[str, object]) -> Iterable[str]:
    """Return the keys at a place that only plugins know: task kinds, and the keys of their own settings."""
    # Variables that set plugins.block are applied before all others, so what is blocked may have changed.
    _block_plugins(plugins, top, base)
    named = mapping_in(top.get("providers")).values()
    if place == ("routes",) or (len(place) == 3 and place[2] == "prices"):
        return task_kinds(kind for each in named if (kind := _kind_of(plugins, each)) is not None)
    if len(place) == 2 and place[0] == "providers":
        kind = _kind_of(plugins, value_at(top, place))
        # A class that can't be read has no keys here; SettingsReader reports it.
        with suppress(Exception):
            return keys_of(kind.settings) if kind is not None and attrs.has(kind.settings) else ()
    return ()


def _kind_of(plugins: Plugins, provider: object) -> ProviderKind[object] | None:
    name = value_at(provider, ("plugin",))
    try:
        return plugins.kind(name) if isinstance(name, str) else None
    except (ConfigError, Unusable):
        return None  # SettingsReader reports it
