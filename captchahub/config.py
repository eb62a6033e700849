"""The configuration: a YAML file or a mapping, made into frozen settings or refused with every problem."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from captchahub._config.amounts import Currency, Price
from captchahub._config.budgets import BudgetReader
from captchahub._config.documents import read_document
from captchahub._config.misfits import Reader, keys, settings_fault, unknown_key
from captchahub._config.plain import plain
from captchahub._config.problems import EXAMPLE, Place, Problems, advise
from captchahub._config.references import resolve
from captchahub._config.routes import RouteReader
from captchahub._config.scalars import (
    Count,
    Duration,
    ExistingPath,
    FailureLimit,
    FilePath,
    HeaderText,
    Pause,
    ProxyAddress,
    ShareLimit,
)
from captchahub._config.structure import strict_converter
from captchahub._log import log
from captchahub._plugins import Plugins, Unusable
from captchahub.errors import ConfigError
from captchahub.provider import Provider, ProviderKind
from captchahub.settings import (
    KEPT_IN_MEMORY,
    Budget,
    HealthSettings,
    HttpSettings,
    HubSettings,
    JournalSettings,
    PluginSettings,
    ProviderSettings,
    Rate,
    RouteSettings,
)
from captchahub.tasks import Task

__all__ = ["load_mapping", "load_yaml"]


def load_yaml(path: Path, plugins: Plugins) -> HubSettings:
    """The settings in a YAML file; relative paths in it begin at its directory.

    Raises :class:`~captchahub.errors.ConfigError` that lists every problem with file, line and place.
    """
    problems = Problems()
    document = read_document(path, problems)
    settings = None
    if document is not None:
        settings = _Loader(path.parent, plugins, problems).settings(document.value)
    lines = {} if document is None else document.lines
    return _settled(settings, problems, str(path), lines)


def load_mapping(mapping: Mapping[str, object], plugins: Plugins) -> HubSettings:
    """The settings in a mapping of the same shape and the same strict types as the file.

    Texts can hold ``${env:NAME}`` here too, so a literal ``${`` is written ``$${``; relative paths begin at
    the working directory. Raises :class:`~captchahub.errors.ConfigError` that lists every problem.
    """
    problems = Problems()
    settings = None
    value = plain(mapping, problems)
    if value is not None:
        settings = _Loader(Path(), plugins, problems).settings(value)
    return _settled(settings, problems, None, {})


def _settled(
    settings: HubSettings | None, problems: Problems, file: str | None, lines: Mapping[Place, int]
) -> HubSettings:
    if settings is None or problems.found:
        raise ConfigError(problems.lines(file, lines)) from problems.cause
    return settings


# The keys that every provider takes, whatever its plugin, and the types of their values.
_HTTP_KEYS: Mapping[str, Any] = {
    "ca_bundle": ExistingPath,
    "proxy": ProxyAddress,
    "user_agent": HeaderText,
    "max_reply_bytes": Count,
}
_LIMIT_KEYS: Mapping[str, Any] = {
    "timeout": Duration,
    "create_timeout": Duration,
    "poll_timeout": Duration,
    "max_in_flight": Count,
    "rate": Rate,
    "report_wrong": bool,
    "prices": dict[str, Price],
    "currency": Currency,
}
_HEALTH_KEYS: Mapping[str, Any] = {
    "failures": FailureLimit,
    "error_rate": ShareLimit,
    "window": Duration,
    "min_samples": Count,
    "cooldown": Pause,
    "busy_cooldown": Pause,
}
_COMMON_KEYS = ("plugin", *_LIMIT_KEYS, "health", "budget", *_HTTP_KEYS)
_TOP_KEYS = ("providers", "routes", "timeout", "budget", "journal", "cache", "plugins")
_PLUGIN_KEYS: Mapping[str, Any] = {"load": tuple[str, ...], "block": tuple[str, ...]}
_JOURNAL_KEYS: Mapping[str, Any] = {"path": FilePath, "keep": Pause}
_NAME = re.compile(r"[\w.-]+")


class _Loader:
    """One configuration on its way to settings; what is wrong with it goes to ``problems``."""

    def __init__(self, base: Path, plugins: Plugins, problems: Problems) -> None:
        self._base = base
        self._plugins = plugins
        self._problems = problems
        self._reader = Reader(strict_converter(base, problems.is_followed), problems)
        self._budgets = BudgetReader(self._reader, problems)

    def settings(self, value: object) -> HubSettings | None:
        """The settings, or None where something essential is missing."""
        top = self._mapping(resolve(value, (), self._base, self._problems), ())
        if top is None:
            return None
        self._refuse_unknown(top, _TOP_KEYS, ())
        plugins = self._see_to_plugins(top.get("plugins", {}), ("plugins",))
        read = self._providers(top)
        providers = {name: provider for name, provider in read.items() if provider is not None}
        kinds = self._task_kinds(provider.kind for provider in providers.values())
        routes = self._routes(top, tuple(read), kinds)
        for name in providers:
            place = ("providers", name, "prices")
            self._refuse_unknown_kinds(_keys_at(top, place), kinds, place)
        given = self._reader.given(top, {"timeout": Duration, "cache": Pause}, ())
        if "journal" in top:
            given["journal"] = self._journal(top["journal"], ("journal",))
        budget = self._budget(top, ())
        if budget is not None:
            self._budgets.refuse_mixed(providers.values(), ("budget",))
        return HubSettings(
            providers, routes, budget=budget, plugins=plugins, hooks=self._plugins.hooks, **given
        )

    def _mapping(self, value: object, place: Place) -> dict[str, object] | None:
        result: dict[str, object] | None = self._reader.read(value, dict[str, object], place)
        return result

    def _refuse_unknown(self, mapping: Mapping[str, object], valid: Sequence[str], place: Place) -> None:
        for key in mapping:
            if key not in valid:
                self._problems.add((*place, key), unknown_key(key, valid))

    def _see_to_plugins(self, value: object, place: Place) -> PluginSettings:
        """Block and load plugins, before any is used."""
        raw = self._mapping(value, place) or {}
        self._refuse_unknown(raw, tuple(_PLUGIN_KEYS), place)
        wanted = PluginSettings(**self._reader.given(raw, _PLUGIN_KEYS, place))
        for unknown in self._plugins.block(wanted.block, "plugins.block of the configuration"):
            known = advise(unknown, self._plugins.names(), "installed")
            log.warning("plugins.block names %r, and no plugin or package is called so; %s", unknown, known)
        for number, name in enumerate(wanted.load):
            try:
                self._plugins.load(name)
            except ConfigError as error:
                self._problems.add((*place, "load", number), str(error))
        return wanted

    def _providers(self, top: Mapping[str, object]) -> dict[str, ProviderSettings | None]:
        """Every provider there is by name, None for those that can't be made."""
        place = ("providers",)
        if "providers" not in top and difflib.get_close_matches("providers", top, n=1):
            return {}  # told as a misspelt key
        raw = self._mapping(top["providers"], place) if "providers" in top else {}
        if raw is not None and not raw:
            self._problems.add(place, f"there is none; name at least one, as in: {EXAMPLE}")
        return {name: self._provider(name, value) for name, value in (raw or {}).items()}

    def _provider(self, name: str, value: object) -> ProviderSettings | None:
        place = ("providers", name)
        if not _NAME.fullmatch(name):
            self._problems.add(place, "a provider's name is made of letters, digits, '-', '_' and '.'")
        raw = self._mapping(value, place)
        if raw is None:
            return None
        limits = self._reader.given(raw, _LIMIT_KEYS, place)
        http = HttpSettings(**self._reader.given(raw, _HTTP_KEYS, place))
        health = self._health(raw.get("health", {}), (*place, "health"))
        budget = self._budget(raw, place)
        own_raw = {key: item for key, item in raw.items() if key not in _COMMON_KEYS}
        try:
            kind, unusable = self._kind(raw, place), None
        except Unusable as error:
            kind, unusable = _stand_in(raw), str(error)
        if kind is None or unusable is not None:
            self._refuse_misspelt(own_raw, place)
        if kind is None:
            return None
        own = None if unusable is not None else self._own(own_raw, kind, place)
        return ProviderSettings(
            name=name,
            plugin=kind.name,
            own=own,
            kind=kind,
            health=health,
            budget=budget,
            http=http,
            unusable=unusable,
            **limits,
        )

    def _health(self, value: object, place: Place) -> HealthSettings:
        raw = self._mapping(value, place) or {}
        self._refuse_unknown(raw, tuple(_HEALTH_KEYS), place)
        return HealthSettings(**self._reader.given(raw, _HEALTH_KEYS, place))

    def _budget(self, raw: Mapping[str, object], place: Place) -> Budget | None:
        return self._budgets.budget(raw["budget"], (*place, "budget")) if "budget" in raw else None

    def _journal(self, value: object, place: Place) -> JournalSettings:
        if not isinstance(value, dict):
            return JournalSettings(self._reader.read(value, FilePath, place))
        raw = self._mapping(value, place) or {}  # pyright: ignore[reportUnknownArgumentType]  # read with care
        self._refuse_unknown(raw, tuple(_JOURNAL_KEYS), place)
        read = self._reader.given(raw, _JOURNAL_KEYS, place)
        if not raw.keys() - {"keep"} and read.get("keep", 0) > KEPT_IN_MEMORY:
            told = "without a path the journal is in memory, where jobs are kept for an hour at most"
            self._problems.add((*place, "keep"), f"{told}; name the file as well, as in path: jobs.db")
        return JournalSettings(**read)

    def _kind(self, raw: Mapping[str, object], place: Place) -> ProviderKind[object] | None:
        place = (*place, "plugin")
        if "plugin" not in raw:
            self._problems.add(place, f"missing; name the plugin to use; installed: {self._installed()}")
            return None
        name: str | None = self._reader.read(raw["plugin"], str, place)
        if name is None:
            return None
        try:
            return self._plugins.kind(name)
        except ConfigError as error:
            self._tell_no_kind(error, place)
            return None

    def _tell_no_kind(self, error: ConfigError, place: Place) -> None:
        if place in self._problems.origins:
            # The error names what was asked for, so neither its words nor the error itself are passed on.
            found = self._problems.shown(place, None)
            self._problems.add(place, f"{found} names no usable plugin; installed: {self._installed()}")
        else:
            self._problems.cause = self._problems.cause or error
            self._problems.add(place, str(error))

    def _installed(self) -> str:
        return ", ".join(self._plugins.names()) or "none"

    def _refuse_misspelt(self, own: Mapping[str, object], place: Place) -> None:
        """Without its plugin nobody knows which keys are wrong, except those close to a common one."""
        for key in own:
            if difflib.get_close_matches(key[:40], _COMMON_KEYS, n=1, cutoff=0.8):
                self._problems.add((*place, key), unknown_key(key, _COMMON_KEYS))

    def _own(self, raw: Mapping[str, object], kind: ProviderKind[object], place: Place) -> object:
        fault = settings_fault(kind.settings, self._reader.converter, _COMMON_KEYS)
        if fault is not None:
            self._problems.add((*place, "plugin"), f"the plugin {kind.name!r} is broken: {fault}; update it")
            return None
        valid = (*_COMMON_KEYS, *keys(kind.settings))
        self._refuse_unknown(raw, valid, place)
        known = {key: value for key, value in raw.items() if key in valid}
        return self._reader.read(known, kind.settings, place)

    def _routes(
        self, top: Mapping[str, object], defined: Sequence[str], kinds: frozenset[str]
    ) -> dict[str, RouteSettings]:
        raw = self._mapping(top.get("routes", {}), ("routes",)) or {}
        self._refuse_unknown_kinds(raw, kinds, ("routes",))
        routes = RouteReader(self._reader, self._problems, defined)
        return {kind: routes.route(value, ("routes", kind)) for kind, value in raw.items()}

    def _task_kinds(self, used: Iterable[ProviderKind[object]]) -> frozenset[str]:
        """The task kinds that can occur: of all plugins, every task type in the program, and the providers.

        A provider is not built to learn its kinds; they are read from ``build`` where that is its class.
        """
        declared = (getattr(kind.build, "kinds", ()) for kind in used)
        return frozenset(_subclass_kinds(Task)).union(self._plugins.task_types(), *declared)

    def _refuse_unknown_kinds(self, raw: Iterable[str], kinds: frozenset[str], place: Place) -> None:
        for kind in raw:
            if kind not in kinds:
                self._problems.add((*place, kind), f"unknown task kind; {advise(kind, kinds, 'task kinds')}")


def _stand_in(raw: Mapping[str, object]) -> ProviderKind[object]:
    """A kind in the place of one whose plugin can't be used. Nothing is ever built of it."""
    return ProviderKind(str(raw["plugin"]), object, _never_built)


def _never_built(_settings: object) -> Provider:
    raise AssertionError("a provider whose plugin can't be used is not built")


def _keys_at(value: object, place: Place) -> Iterable[str]:
    """The keys of the mapping at a place, none where there is no mapping."""
    for step in place:
        value = value.get(step) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  # any mapping
    return value if isinstance(value, dict) else ()  # pyright: ignore[reportUnknownVariableType]  # plain() saw to its keys


def _subclass_kinds(task_type: type[Any]) -> Iterable[str]:
    for subclass in task_type.__subclasses__():
        kind = getattr(subclass, "kind", None)
        if isinstance(kind, str):
            yield kind
        yield from _subclass_kinds(subclass)
