"""What ``captchahub config check``, ``show`` and ``schema`` do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from captchahub._config.inspected import Inspected
from captchahub._config.loader import block_as_configured, inspect_yaml
from captchahub._config.problems import LocatedProblem
from captchahub._config.reader import settings_fault
from captchahub._config.schema import configuration_schema
from captchahub._http.certificates import environment_trust
from captchahub._http.proxies import environment_proxy
from captchahub._plugins.manager import Plugins, Unusable
from captchahub.cli.config.effective import effective
from captchahub.cli.config.rendering import sources_of, values_of, yaml_lines
from captchahub.cli.options import default_config
from captchahub.cli.streams import put, say, writing_stdout
from captchahub.cli.text import counted, printable
from captchahub.errors import ConfigError
from captchahub.hub import Hub
from captchahub.provider import ProviderKind, is_loopback
from captchahub.settings import HubSettings, JournalSettings, ProviderSettings


def check(file: Path, *, as_json: bool) -> bool:
    """Print a summary, or every problem; return whether there is no problem.

    Raises :class:`~captchahub.errors.ConfigError` with every problem, unless they are printed as JSON.
    """
    plugins = Plugins()
    inspected = inspect_yaml(file, plugins)
    problems = problems_of(inspected, plugins)
    settings = None if problems else inspected.settings
    if as_json:
        # The settings of a configuration with problems are incomplete, so none are shown.
        shown = HubSettings({}, {}) if settings is None else settings
        result = {
            "file": inspected.file,
            "fine": settings is not None,
            "problems": [attrs.asdict(problem) for problem in problems],
            "providers": {name: one.plugin for name, one in shown.providers.items()},
            "routes": {kind: list(route.names) for kind, route in shown.routes.items()},
        }
        _print(json.dumps(result))
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
        journal = JournalSettings(keep=inspected.settings.journal.keep)
        Hub(attrs.evolve(inspected.settings, journal=journal), plugins=plugins).close()
    except ConfigError as error:
        return [inspected.located(line) for line in str(error).splitlines()]
    return [inspected.located(line) for line in _unusable(inspected.settings, plugins)]


def _unusable(settings: HubSettings, plugins: Plugins) -> Iterator[str]:
    """Yield what is wrong with plugins and variables. A hub starts anyway, so only a check reports it."""
    faults: dict[str, list[str]] = {}
    for name, provider in settings.providers.items():
        if provider.unusable is not None:
            yield f"providers.{name}.plugin: {provider.unusable}"
        for fault in _environment_faults(provider):
            faults.setdefault(fault, []).append(name)
    for fault, names in faults.items():
        # One variable is one problem, although several providers use it.
        yield f"providers.{names[0]}: {fault}" if len(names) == 1 else f"providers: {fault}"
    for place, name in enumerate(settings.plugins.load):
        for record in plugins.records:
            if record.name == name and record.error is not None:
                yield f"plugins.load[{place}]: {record.error}"


def _environment_faults(settings: ProviderSettings) -> Iterator[str]:
    """Yield a message for each variable that a provider would use but can't, with what to do."""
    # A local provider has no base_url. One that is None means the service's own.
    address = getattr(settings.own, "base_url", "")
    is_here = not isinstance(address, str) or is_loopback(urlsplit(address).hostname or "localhost")
    if address is not None and is_here:
        return
    trust = None if settings.http.ca_bundle else environment_trust(os.environ)
    proxy = None if settings.http.proxy else environment_proxy("https")
    for named in (trust, proxy):
        if named is not None and named.fault is not None:
            yield named.fault


def summary(settings: HubSettings) -> str:
    """Return the number and names of providers and routes, on one line."""
    providers, routes = settings.providers, settings.routes
    named = f"{counted(len(providers), 'provider')} ({', '.join(providers)})"
    routed = f", {counted(len(routes), 'route')} ({', '.join(routes)})" if routes else ", no route"
    return f"fine: {named}{routed}"


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


def usable_kinds(plugins: Plugins) -> list[ProviderKind[Any]]:
    """Return the kinds of all installed plugins; report the unusable ones on stderr, and leave them out."""
    kinds: list[ProviderKind[Any]] = []
    for name in plugins.kind_names():
        try:
            kind = plugins.kind(name)
        except (ConfigError, Unusable) as error:
            say(f"left out: {error}")
            continue
        fault = settings_fault(kind.settings)
        if fault is None:
            kinds.append(kind)
        else:
            say(f"left out: the plugin {name!r} is broken: {fault}; update it")
    return kinds


def _print(text: str) -> None:
    with writing_stdout():
        put(text)
