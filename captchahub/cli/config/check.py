"""What ``captchahub config check``, ``show`` and ``schema`` do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from captchahub._config.inspected import Inspected
from captchahub._config.loader import block_as_configured, inspect_yaml
from captchahub._config.problems import LocatedProblem
from captchahub._config.schema import configuration_schema
from captchahub._plugins.manager import Plugins
from captchahub.cli.config.effective import effective
from captchahub.cli.config.kinds import usable_kinds
from captchahub.cli.config.network import environment_faults
from captchahub.cli.config.rendering import sources_of, values_of, yaml_lines
from captchahub.cli.options import default_config
from captchahub.cli.streams import put, writing_stdout
from captchahub.cli.text import counted, printable
from captchahub.errors import ConfigError
from captchahub.hub import Hub
from captchahub.settings import HubSettings

__all__ = ["check", "print_schema", "problems_of", "show", "summary"]


def check(file: Path, *, as_json: bool) -> bool:
    """Print a summary, or every problem; return whether there is no problem.

    Raises :class:`~captchahub.errors.ConfigError` with every problem, unless they are printed as JSON.
    """
    plugins = Plugins()
    inspected = inspect_yaml(file, plugins)
    problems = problems_of(inspected, plugins)
    settings = None if problems else inspected.settings
    if as_json:
        _print(json.dumps(_checked(inspected, settings, problems)))
    elif settings is None:
        raise ConfigError("\n".join(map(str, problems)))
    else:
        _print(f"{printable(str(file))}: {summary(settings)}")
    return settings is not None


def problems_of(inspected: Inspected, plugins: Plugins) -> list[LocatedProblem]:
    """Return every problem, including those that a hub finds only when it begins."""
    problems = list(inspected.problems)
    if inspected.settings is None or problems:
        return problems
    try:
        # As a hub would begin, but for its journal: checking leaves no file behind.
        journal = attrs.evolve(inspected.settings.journal, path=None)
        Hub(attrs.evolve(inspected.settings, journal=journal), plugins=plugins).close()
    except ConfigError as error:
        return [inspected.located(line) for line in str(error).splitlines()]
    return [inspected.located(line) for line in _unusable(inspected.settings, plugins)]


def _unusable(settings: HubSettings, plugins: Plugins) -> Iterable[str]:
    """Yield what is wrong with plugins and variables. A hub starts anyway, so only a check reports it."""
    for name, provider in settings.providers.items():
        if provider.unusable is not None:
            yield f"providers.{name}.plugin: {provider.unusable}"
        for fault in environment_faults(provider):
            yield f"providers.{name}: {fault}"
    for place, name in enumerate(settings.plugins.load):
        for record in plugins.records:
            if record.name == name and record.error is not None:
                yield f"plugins.load[{place}]: {record.error}"


def summary(settings: HubSettings) -> str:
    """Return the number and names of providers and routes, on one line."""
    providers, routes = settings.providers, settings.routes
    named = f"{counted(len(providers), 'provider')} ({', '.join(providers)})"
    routed = f", {counted(len(routes), 'route')} ({', '.join(routes)})" if routes else ", no route"
    return f"fine: {named}{routed}"


def _checked(
    inspected: Inspected, settings: HubSettings | None, problems: list[LocatedProblem]
) -> Mapping[str, object]:
    # The settings of a configuration with problems are incomplete, so none are shown.
    shown = HubSettings({}, {}) if settings is None else settings
    return {
        "file": inspected.file,
        "fine": settings is not None,
        "problems": [attrs.asdict(problem) for problem in problems],
        "providers": {name: one.plugin for name, one in shown.providers.items()},
        "routes": {kind: list(route.names) for kind, route in shown.routes.items()},
    }


def show(file: Path, *, as_json: bool) -> None:
    """Print the effective configuration.

    Raises :class:`~captchahub.errors.ConfigError` with every problem.
    """
    inspected = inspect_yaml(file, Plugins())
    entries = effective(inspected, inspected.checked())
    if as_json:
        shown = {"configuration": values_of(entries), "sources": sources_of(entries)}
        _print(json.dumps({"file": inspected.file, **shown}, default=str))
    else:
        _print("\n".join(yaml_lines(entries)))


def print_schema() -> None:
    """Print the JSON Schema; report plugins that can't be used on stderr, and leave them out."""
    plugins = Plugins()
    block_as_configured(default_config(), plugins)
    _print(json.dumps(configuration_schema(usable_kinds(plugins)), indent=2))


def _print(text: str) -> None:
    with writing_stdout():
        put(text)
