"""Plain values → the settings of a hub. Every problem with them is reported, not only the first."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from captchahub._config.names import COMMON_KEYS, PROVIDER_NAME, task_kinds
from captchahub._config.plain_values import mapping_in, value_at
from captchahub._config.problems import EXAMPLE, InvalidValue, KeyPath, Problems
from captchahub._config.reader import ValueReader, settings_fault, unknown_key
from captchahub._config.routes import RouteReader
from captchahub._config.scalars import ReadContext
from captchahub._config.type_info import keys_of
from captchahub._plugins.aliases import meant_value
from captchahub._plugins.manager import Plugins, Unusable
from captchahub._support.database_address import is_address
from captchahub._support.notation import DatabaseAddress, FilePath
from captchahub._support.paths import anchored
from captchahub._support.wording import advise
from captchahub.errors import ConfigError
from captchahub.provider import Provider, ProviderKind
from captchahub.settings import (
    KEPT_IN_MEMORY,
    Budget,
    HttpSettings,
    HubSettings,
    JournalSettings,
    Period,
    PluginSettings,
    ProviderSettings,
)

BLOCKED_BY = "plugins.block of the configuration"
"""What blocks a plugin, as its record names it."""


_MISSING_IN_BUDGET = {
    "limit": "missing; say how much may be spent, as in limit: 5.00",
    "per": f"missing; say what the limit holds for: {', '.join(period.value for period in Period)}",
}


class SettingsReader:
    """Reads the settings of one configuration; reports what is wrong to ``problems``."""

    def __init__(self, plugins: Plugins, problems: Problems, base: Path) -> None:
        self._plugins = plugins
        self._problems = problems
        # Absolute, because the program may change its working directory before a path is used.
        self._reader = ValueReader(ReadContext(anchored(base), problems.came_from_reference), problems)

    def settings(self, value: object) -> HubSettings | None:
        """Return the settings, or None if something essential is missing."""
        top = self._mapping(value, ())
        if top is None:
            return None
        self._reader.refuse_unknown(top, keys_of(HubSettings), ())
        plugins = self._load_plugins(top.get("plugins", {}))
        read = self._providers(top)
        providers = {name: provider for name, provider in read.items() if provider is not None}
        # After the providers, because a plugin may bring its own task types along when it is imported.
        kinds = task_kinds(provider.kind for provider in providers.values()).union(self._plugins.task_types())
        raw_routes = self._mapping(top.get("routes", {}), ("routes",)) or {}
        self._refuse_unknown_kinds(raw_routes, kinds, ("routes",))
        # A route may name a provider that is not usable, so that its mistakes are not reported twice.
        reader = RouteReader(self._reader, tuple(read))
        routes = {kind: reader.route(value, ("routes", kind)) for kind, value in raw_routes.items()}
        for name in providers:
            place = ("providers", name, "prices")
            self._refuse_unknown_kinds(mapping_in(value_at(top, place)), kinds, place)
        given = self._reader.fields(
            top, HubSettings, (), skip=("providers", "routes", "budget", "journal", "plugins")
        )
        if "journal" in top:
            given["journal"] = self._journal(top["journal"])
        budget = self._budget(top, ())
        if budget is not None:
            self._refuse_mixed_currencies(providers.values())
        return HubSettings(providers, routes, budget=budget, plugins=plugins, **given)

    def _mapping(self, value: object, place: KeyPath) -> dict[str, object] | None:
        result: dict[str, object] | None = self._reader.read(value, dict[str, object], place)
        return result

    def _load_plugins(self, value: object) -> PluginSettings:
        """Block and load plugins. Providers are read later, since reading one may import its plugin."""
        place = ("plugins",)
        raw = self._mapping(value, place) or {}
        self._reader.refuse_unknown(raw, keys_of(PluginSettings), place)
        settings = PluginSettings(**self._reader.fields(raw, PluginSettings, place))
        for unknown in self._plugins.block(settings.block, BLOCKED_BY):
            self._plugins.warn_of_unknown(unknown, "plugins.block")
        for number, name in enumerate(settings.load):
            try:
                self._plugins.load(name)
            except ConfigError as error:
                self._problems.add((*place, "load", number), str(error))
        return settings

    def _providers(self, top: Mapping[str, object]) -> dict[str, ProviderSettings | None]:
        """Return the providers by name, None for one that is not usable."""
        place = ("providers",)
        if "providers" not in top and difflib.get_close_matches("providers", top, n=1):
            return {}  # reported as a misspelt key
        raw = self._mapping(top["providers"], place) if "providers" in top else {}
        if raw is not None and not raw:
            self._problems.add(place, f"there is none; name at least one, as in: {EXAMPLE}")
        return {name: self._provider(name, value) for name, value in (raw or {}).items()}

    def _provider(self, name: str, value: object) -> ProviderSettings | None:
        place = ("providers", name)
        if not re.fullmatch(PROVIDER_NAME, name):
            self._problems.add(place, "a provider's name is made of letters, digits, '-', '_' and '.'")
        raw = self._mapping(value, place)
        if raw is None:
            return None
        common = self._reader.fields(raw, ProviderSettings, place, skip=("plugin", "budget"))
        http = HttpSettings(**self._reader.fields(raw, HttpSettings, place))
        budget = self._budget(raw, place)
        own_raw = {key: item for key, item in raw.items() if key not in COMMON_KEYS}
        try:
            kind, unusable = self._kind(raw, (*place, "plugin")), None
        except Unusable as error:
            # One broken plugin must not stop the hub, so the others go on without this provider.
            kind, unusable = ProviderKind(str(raw["plugin"]), object, _never_built), str(error)
        if kind is None or unusable is not None:
            for key in own_raw:
                # Without the plugin, a key that is not close to a common one may be right.
                if difflib.get_close_matches(key[:40], COMMON_KEYS, n=1, cutoff=0.8):
                    self._problems.add((*place, key), unknown_key(key, COMMON_KEYS))
        if kind is None:
            return None
        own = None if unusable is not None else self._plugin_settings(own_raw, kind, place)
        return ProviderSettings(
            name=name,
            plugin=kind.name,
            own=own,
            kind=kind,
            budget=budget,
            http=http,
            unusable=unusable,
            **common,
        )

    def _budget(self, around: Mapping[str, object], place: KeyPath) -> Budget | None:
        """Return the budget in a mapping, or None if there is none or it is wrong."""
        if "budget" not in around:
            return None
        value, place = around["budget"], (*place, "budget")
        if not isinstance(value, dict):
            error = InvalidValue("a budget such as {limit: 5.00, per: day}", value)
            self._reader.report_invalid(error, place)
            return None
        raw: dict[str, object] = value  # pyright: ignore[reportUnknownVariableType]  # its keys are text
        keys = keys_of(Budget)
        self._reader.refuse_unknown(raw, keys, place)
        unknown = [key for key in raw if key not in keys]
        for key, message in _MISSING_IN_BUDGET.items():
            # A misspelt key has been reported already.
            if key not in raw and not difflib.get_close_matches(key, unknown, n=1):
                self._problems.add((*place, key), message)
        read = self._reader.fields(raw, Budget, place)
        return Budget(**read) if read.keys() >= _MISSING_IN_BUDGET.keys() else None

    def _refuse_mixed_currencies(self, providers: Iterable[ProviderSettings]) -> None:
        """Report currencies that the budget of the hub can't add up."""
        currencies = {each.name: each.currency for each in providers if each.currency is not None}
        if len({*currencies.values()}) > 1:
            shown = (
                f"{name} in {self._problems.shown(('providers', name, 'currency'), currency)}"
                for name, currency in currencies.items()
            )
            message = f"it can't add up different currencies: {', '.join(shown)}"
            advice = "leave it out, and give each provider a budget of its own"
            self._problems.add(("budget",), f"{message}; {advice}")

    def _journal(self, value: object) -> JournalSettings:
        place = ("journal",)
        if isinstance(value, str) and is_address(value):
            return JournalSettings(url=self._reader.read(value, DatabaseAddress, place))
        if not isinstance(value, dict):
            return JournalSettings(self._reader.read(value, FilePath, place))
        raw = self._mapping(value, place) or {}  # pyright: ignore[reportUnknownArgumentType]  # read with care
        self._reader.refuse_unknown(raw, keys_of(JournalSettings), place)
        read = self._reader.fields(raw, JournalSettings, place)
        if not raw.keys() - {"keep"} and read.get("keep", 0) > KEPT_IN_MEMORY:
            message = "without a path the journal is in memory, where jobs are kept for an hour at most"
            self._problems.add((*place, "keep"), f"{message}; name the file as well, as in path: jobs.db")
        if "url" in raw and "url" not in read:
            return JournalSettings()
        try:
            return JournalSettings(**read)
        except ValueError as error:
            self._problems.add(place, str(error))
            return JournalSettings()

    def _kind(self, raw: Mapping[str, object], place: KeyPath) -> ProviderKind[object] | None:
        if "plugin" not in raw:
            self._problems.add(place, f"missing; name the plugin to use; installed: {self._installed()}")
            return None
        name: str | None = self._reader.read(raw["plugin"], str, place)
        try:
            return None if name is None else self._plugins.kind(name)
        except ConfigError as error:
            if place in self._problems.origins:
                # The error names the value, which may be secret, so neither it nor its message is passed on.
                found = self._problems.shown(place, None)
                self._problems.add(place, f"{found} names no usable plugin; installed: {self._installed()}")
            else:
                self._problems.cause = self._problems.cause or error
                self._problems.add(place, str(error))
            return None

    def _installed(self) -> str:
        return ", ".join(self._plugins.kind_names()) or "none"

    def _plugin_settings(
        self, raw: Mapping[str, object], kind: ProviderKind[object], place: KeyPath
    ) -> object:
        fault = settings_fault(kind.settings)
        if fault is not None:
            self._problems.add((*place, "plugin"), f"the plugin {kind.name!r} is broken: {fault}; update it")
            return None
        valid = (*COMMON_KEYS, *keys_of(kind.settings))
        self._reader.refuse_unknown(raw, valid, place)
        known = {key: value for key, value in raw.items() if key in valid}
        for key, value in known.items():
            # The value may be another name of a service: a hint, in case the plugin refuses it.
            meant = meant_value(kind, key, value)
            if meant is not None and (*place, key) not in self._problems.origins:
                self._problems.hints[*place, key] = f"write {meant}"
        return self._reader.read(known, kind.settings, place)

    def _refuse_unknown_kinds(self, raw: Iterable[str], kinds: frozenset[str], place: KeyPath) -> None:
        for kind in raw:
            if kind not in kinds:
                self._problems.add((*place, kind), f"unknown task kind; {advise(kind, kinds, 'task kinds')}")


def _never_built(_settings: object) -> Provider:
    raise AssertionError("a provider whose plugin can't be used is not built")
