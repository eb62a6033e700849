"""Finding and loading plugins: those passed in, and those installed.

The entry-point group ``captchahub`` has those that add kinds of provider, each called like its kind, and
``captchahub.plugins`` has all others.

Names come from the metadata of what is installed; a plugin is imported when something uses it. What is wrong
with one is written into its record, and takes nothing else down.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib.metadata import EntryPoint
from types import ModuleType

import attrs
import pluggy

from captchahub._plugins.aliases import is_alias, keys_of_alias
from captchahub._plugins.builtin import Builtin
from captchahub._plugins.entry_points import package_of, points_in, version_of
from captchahub._plugins.hooks import Hooks, name_of
from captchahub._plugins.validation import (
    InvalidPlugin,
    hooks_of,
    kinds_of,
    misfit_of,
    refuse_misfits,
    tasks_of,
    trace_of,
)
from captchahub._support.guard import foreign_errors
from captchahub._support.log import log
from captchahub._support.wording import advise
from captchahub.errors import ConfigError
from captchahub.hookspecs import PROJECT, HookSpecs
from captchahub.plugins import PluginRecord, PluginState
from captchahub.provider import ProviderKind
from captchahub.settings import HubSettings
from captchahub.tasks import Solution, Task

__all__ = ["BLOCKED", "Plugins", "Unusable", "checked_plugins", "is_blocked_by_environment"]

OTHERS = f"{PROJECT}.plugins"

ALIASES = f"{PROJECT}.aliases"

Kinds = dict[str, ProviderKind[object]]

TaskTypes = dict[str, type[Task[Solution]]]

BLOCKED = "CAPTCHAHUB_BLOCK_PLUGINS"
"""The environment variable with the names of plugins, or of their packages, that must not be imported."""


def _blocked_by_environment() -> Sequence[str]:
    """The names in that variable, which are parted by commas or blanks."""
    return sorted(set(os.environ.get(BLOCKED, "").replace(",", " ").split()))


def is_blocked_by_environment(*names: str) -> bool:
    """Whether that variable has any of the names of a thing or its package."""
    return not {*map(_plain, names)}.isdisjoint(map(_plain, _blocked_by_environment()))


class Unusable(Exception):
    """A plugin is there and can't be used: its record says why, and what to do."""

    def __init__(self, record: PluginRecord) -> None:
        super().__init__(record.error)
        self.record = record


@attrs.define(eq=False)
class _Plugin:
    """One plugin: installed or passed in."""

    record: PluginRecord
    point: EntryPoint | None = None
    plugin: object = None
    """Its module or object, once it is loaded."""
    kinds: Kinds = attrs.field(factory=Kinds)
    task_types: TaskTypes = attrs.field(factory=TaskTypes)

    @property
    def names(self) -> set[str]:
        """What it can be blocked by, as pip compares names."""
        names = (self.record.name, self.record.distribution, *self.record.kinds)
        return {_plain(name) for name in names if name is not None}


class Plugins:
    """The plugins that one hub can use; another hub's are another object's.

    ``passed`` are plugin objects, modules or instances with hooks, that need no installation. They go before
    installed ones of the same name. Raises :class:`~captchahub.errors.ConfigError` where one is no plugin.
    """

    def __init__(self, passed: Sequence[object] = ()) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._manager.register(Builtin(), PROJECT)
        self._blocked: dict[str, str] = {}
        self._passed: list[_Plugin] = []
        for plugin in checked_plugins(passed):
            self._take(plugin)
        for unknown in self.block(_blocked_by_environment(), f"${BLOCKED}"):
            self.warn_of_unknown(unknown, f"${BLOCKED}")

    @classmethod
    def named_by(cls, settings: HubSettings) -> Plugins:
        """Return the installed plugins that settings name, loaded.

        A provider's plugin that cannot be loaded is left out: its kind is in the settings already. Raises
        :class:`~captchahub.errors.ConfigError` if a plugin to load is not installed.
        """
        plugins = cls()
        plugins.block(settings.plugins.block, "plugins.block of the settings")
        # In the order of the configuration loader: of two hooks, the one registered last is called first.
        for name in settings.plugins.load:
            plugins.load(name)
        for provider in settings.providers.values():
            with suppress(ConfigError, Unusable):
                plugins.kind(provider.plugin)
        return plugins

    @property
    def hooks(self) -> Hooks:
        """What the plugins loaded so far, and from now on, have a say in."""
        return Hooks(self._manager)

    def kind_names(self) -> tuple[str, ...]:
        """The names of the provider kinds there are, sorted; nothing is imported for it."""
        return tuple(
            sorted({*self._kinds_passed(), *(one.record.name for one in self._installed_in(PROJECT))})
        )

    def names(self) -> tuple[str, ...]:
        """The names of all plugins that are installed, sorted; nothing is imported for it."""
        return tuple(sorted({one.record.name for one in self._installed}))

    def block(self, names: Iterable[str], source: str) -> list[str]:
        """Keep plugins, by their own names or those of their packages, from being imported or used.

        ``source`` is who says so. Gives those of the names that nothing here has.
        """
        wanted = list(names)
        if not wanted:
            # Most often; what is installed need not be looked through for it.
            return []
        self._blocked |= dict.fromkeys(wanted, source)
        for one in self._passed:
            self._refuse_blocked(one)
        known = {name for one in self._everyone for name in one.names}
        return [name for name in wanted if _plain(name) not in known]

    def warn_of_unknown(self, name: str, source: str) -> None:
        """Log that a name to block means nothing here; ``source`` is who says it."""
        known = advise(name, self.names(), "installed")
        log.warning("%s names %r, and no plugin or package is called so; %s", source, name, known)

    def kind(self, name: str) -> ProviderKind[object]:
        """The kind that ``plugin: name`` means; of the installed plugins, only that one is imported.

        Raises :class:`~captchahub.errors.ConfigError` where there is none of that name, or two, and Unusable
        where there is, and it can't be used.
        """
        passed = next((one for one in self._passed if name in one.record.kinds), None)
        one = self._only(name, self._installed_in(PROJECT), self.kind_names()) if passed is None else passed
        self._use(one)
        if name not in one.kinds:
            offered = ", ".join(one.record.kinds) or "none"
            said = f"{_who(one.record)} adds no kind named {name!r} (it adds: {offered}); update it"
            raise Unusable(attrs.evolve(one.record, error=said))
        return one.kinds[name]

    def load(self, name: str) -> None:
        """Import an installed plugin for its other hooks; one that can't be used is logged, and left out.

        Raises :class:`~captchahub.errors.ConfigError` where there is none of that name, or two.
        """
        try:
            self._use(self._only(name, self._installed, self.names()))
        except Unusable as error:
            log.error("%s", error)

    def load_all(self) -> None:
        """Import every plugin there is, to see what can be used."""
        for one in self._installed:
            if one.record.state is PluginState.INSTALLED:
                try:
                    self._use(one)
                except Unusable:
                    continue

    @property
    def records(self) -> Sequence[PluginRecord]:
        """What there is to tell of each plugin, passed in or installed."""
        return [one.record for one in self._everyone]

    def task_types(self) -> TaskTypes:
        """The task types of the plugins loaded so far, and the library's own, by their kinds."""
        own = {task_type.kind: task_type for task_type in Builtin().captchahub_task_types()}
        return own | {kind: task_type for one in self._loaded() for kind, task_type in one.task_types.items()}

    def _loaded(self) -> Iterable[_Plugin]:
        return (one for one in self._everyone if one.record.state is PluginState.LOADED)

    @property
    def _everyone(self) -> Sequence[_Plugin]:
        return (*self._passed, *self._installed)

    def _kinds_passed(self) -> Iterable[str]:
        return (kind for one in self._passed for kind in one.record.kinds)

    @cached_property
    def _installed(self) -> Sequence[_Plugin]:
        groups = map(points_in, (PROJECT, OTHERS))
        return [_Plugin(_record_of(point), point) for points in groups for point in points]

    def _installed_in(self, group: str) -> Sequence[_Plugin]:
        return [one for one in self._installed if one.point is not None and one.point.group == group]

    def _only(self, name: str, among: Iterable[_Plugin], names: Iterable[str]) -> _Plugin:
        """The installed plugin of a name, but for those that are blocked where that leaves one."""
        found = _distinct(one for one in among if one.record.name == name)
        left = [one for one in found if self._blocking(one) is None] or found[:1]
        if not left:
            raise ConfigError(f"no plugin named {name!r} is installed; {self._instead_of(name, names)}")
        if len(left) > 1:
            owners = " and ".join(sorted(one.record.distribution or "?" for one in left))
            raise ConfigError(
                f"{owners} both offer a plugin named {name!r}; uninstall one of them, or block one by the "
                "name of its package in plugins: {block: [...]}"
            )
        return left[0]

    def _instead_of(self, name: str, names: Iterable[str]) -> str:
        """What to write in place of a name that no plugin has."""
        meant = self.meant_by(name)
        if meant is not None:
            kind, keys = meant
            return f"write {', '.join(f'{key}: {value}' for key, value in {'plugin': kind, **keys}.items())}"
        # No package is named: one that nobody here knows of may be anybody's.
        told = f"{advise(name, names, 'installed')}; or install the plugin that adds it"
        # Programs in one file, such as PyInstaller makes, come without the metadata.
        return f"{told}, or pass its module: plugins=[...]" if hasattr(sys, "frozen") else told

    def meant_by(self, name: str) -> tuple[str, Mapping[str, str]] | None:
        """The kind that has a name among its aliases, with the keys that go with it; None where none has.

        Of the installed plugins, only one that claims the name by its metadata is imported.
        """
        claimed = {point.value for point in points_in(ALIASES) if is_alias(point.name, name)}
        for one in self._installed_in(PROJECT):
            if one.point is not None and one.point.value in claimed:
                with suppress(Unusable):
                    self._use(one)
        for kind in (kind for one in self._loaded() for kind in one.kinds.values()):
            keys = keys_of_alias(kind, name)
            if keys is not None:
                return kind.name, keys
        return None

    def _blocking(self, one: _Plugin) -> str | None:
        """Who says that a plugin is blocked, None for nobody."""
        names = one.names
        return next((source for name, source in self._blocked.items() if _plain(name) in names), None)

    def _use(self, one: _Plugin) -> None:
        """Import and register a plugin, if that has not been done. Raises Unusable."""
        if one.record.state is PluginState.INSTALLED:
            self._refuse_blocked(one)
            if one.record.state is PluginState.INSTALLED and one.point is not None:
                self._import(one, one.point)
        if one.record.state is not PluginState.LOADED:
            raise Unusable(one.record)

    def _refuse_blocked(self, one: _Plugin) -> None:
        source = self._blocking(one)
        if source is not None and one.record.state is not PluginState.BLOCKED:
            said = f"{_who(one.record)} is blocked by {source}; take it out there to use it"
            one.record = attrs.evolve(one.record, state=PluginState.BLOCKED, error=said)
            if one.plugin is not None:
                self._manager.unregister(one.plugin)

    def _import(self, one: _Plugin, point: EntryPoint) -> None:
        try:
            self._register(one, self._imported(point))
        except InvalidPlugin as misfit:
            advice = misfit.advice or "update or reinstall it"
            one.record = attrs.evolve(
                one.record,
                state=misfit.state,
                error=f"{_who(one.record)} {misfit}; {advice}",
                traceback=trace_of(misfit),
            )

    def _imported(self, point: EntryPoint) -> object:
        try:
            plugin: object = point.load()
        except foreign_errors() as error:
            raise misfit_of(error, "can't be imported") from error
        if isinstance(plugin, type):
            raise InvalidPlugin(
                f"names a class, and hooks need an object: write `plugin = {plugin.__name__}()` and name "
                f"`{point.module}:plugin`"
            )
        return plugin

    def _take(self, plugin: object) -> None:
        if isinstance(plugin, str):
            raise ConfigError(f"plugins has the name {plugin!r:.40} in it: import the module, and pass that")
        who = f"the plugin {name_of(plugin)} passed in"
        if isinstance(plugin, type):
            raise ConfigError(f"{who} is a class, and its hooks need an object: write {name_of(plugin)}()")
        if any(other.plugin is plugin for other in self._passed):
            raise ConfigError(f"{who} is there twice; leave one of them out")
        one = _Plugin(PluginRecord(name_of(plugin), PluginState.INSTALLED))
        try:
            self._register(one, plugin)
            for kind in one.kinds:
                if kind in self._kinds_passed():
                    raise InvalidPlugin(
                        f"adds the kind {kind!r}, which is there already; leave one of them out"
                    )
            if not one.record.hooks:
                raise InvalidPlugin(
                    "has no hook of captchahub; pass the module, or the object, that has them"
                )
        except InvalidPlugin as misfit:
            advice = f"; {misfit.advice}" if misfit.advice else ""
            raise ConfigError(f"{who} {misfit}{advice}") from misfit.__cause__
        self._passed.append(one)

    def _register(self, one: _Plugin, plugin: object) -> None:
        """Make its hooks known. Raises InvalidPlugin, and leaves nothing behind then."""
        # Two entry points can name one module.
        was_there = self._has(plugin)
        try:
            self._introduce(one, plugin, was_there=was_there)
        except foreign_errors() as error:
            if not was_there and self._has(plugin):
                self._manager.unregister(plugin)
            if isinstance(error, InvalidPlugin):
                raise
            raise misfit_of(error, "can't be used") from error

    def _has(self, plugin: object) -> bool:
        return any(one is plugin for _name, one in self._manager.list_name_plugin())

    def _introduce(self, one: _Plugin, plugin: object, *, was_there: bool) -> None:
        if not was_there:
            if self._manager.is_registered(plugin):
                raise InvalidPlugin(
                    "is equal to another plugin, so the two can't be told apart; give its class eq=False"
                )
            refuse_misfits(self._manager, plugin)
            self._manager.register(plugin)
            self._manager.check_pending()
        kinds, task_types = kinds_of(self._manager, plugin), tasks_of(self._manager, plugin)
        for kind, task_type in task_types.items():
            if self.task_types().get(kind, task_type) is not task_type:
                raise InvalidPlugin(
                    f"adds the task kind {kind!r}, which is there already; leave one of them out"
                )
        one.plugin, one.kinds, one.task_types = plugin, kinds, task_types
        one.record = attrs.evolve(
            one.record,
            state=PluginState.LOADED,
            kinds=tuple(kinds),
            tasks=tuple(task_types),
            hooks=hooks_of(self._manager, plugin),
        )


def checked_plugins(passed: object) -> tuple[object, ...]:
    """The plugin objects passed in. Raises :class:`~captchahub.errors.ConfigError` for what is no list."""
    found = f"the module {name_of(passed)}" if isinstance(passed, ModuleType) else type(passed).__name__
    if isinstance(passed, Iterable) and not isinstance(passed, (str, bytes, Mapping)):
        return tuple(passed)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # of anything
    raise ConfigError(f"plugins is a list of plugin objects, as in plugins=[my_plugin], and not {found}")


def _distinct(plugins: Iterable[_Plugin]) -> list[_Plugin]:
    """Of those that one package names in both groups for the same object, the first."""
    found: dict[tuple[str | None, str], _Plugin] = {}
    for one in plugins:
        found.setdefault((one.record.distribution, "" if one.point is None else one.point.value), one)
    return list(found.values())


def _plain(name: str) -> str:
    """A name as pip compares it: Some_Package is some-package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _record_of(point: EntryPoint) -> PluginRecord:
    return PluginRecord(
        point.name,
        PluginState.INSTALLED,
        distribution=package_of(point) or "an unnamed package",
        version=version_of(point),
    )


def _who(record: PluginRecord) -> str:
    of = "passed in" if record.distribution is None else f"of {record.distribution}"
    return f"the plugin {record.name!r} {of}"
