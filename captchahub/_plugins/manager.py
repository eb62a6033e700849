"""Finds and loads plugins: objects that were passed in, and entry points of installed packages.

The entry-point group ``captchahub`` has the plugins that add kinds of provider, each named like its kind.
The group ``captchahub.plugins`` has all others.

The names come from the metadata of installed packages; a plugin is imported only when something uses it. A
plugin that cannot be used is recorded with the reason, and does not affect the others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib.metadata import EntryPoint
from types import ModuleType

import attrs
import pluggy

from captchahub._plugins.aliases import is_alias, keys_of_alias
from captchahub._plugins.entry_points import (
    BLOCKED,
    blocked_by_environment,
    normalized,
    package_of,
    points_in,
    version_of,
)
from captchahub._plugins.hooks import Builtin, Hooks, plugin_name
from captchahub._plugins.validation import (
    InvalidPlugin,
    check_hooks,
    invalid_because,
    provider_kinds,
    task_types,
    traceback_of,
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

_OTHERS = f"{PROJECT}.plugins"

_ALIASES = f"{PROJECT}.aliases"

_Kinds = dict[str, ProviderKind[object]]

_TaskTypes = dict[str, type[Task[Solution]]]


class Unusable(Exception):
    """A plugin exists and cannot be used; its record says why, and what to do."""

    def __init__(self, record: PluginRecord) -> None:
        super().__init__(record.error)
        self.record = record


@attrs.define(eq=False)
class _Plugin:
    """One plugin, installed or passed in."""

    record: PluginRecord
    point: EntryPoint | None = None
    """None for a plugin that was passed in."""
    plugin: object = None
    """Its module or object, once it is loaded."""
    kinds: _Kinds = attrs.field(factory=_Kinds)
    task_types: _TaskTypes = attrs.field(factory=_TaskTypes)

    @property
    def label(self) -> str:
        """What messages call it."""
        package = self.record.distribution
        return f"the plugin {self.record.name!r} {'passed in' if package is None else f'of {package}'}"

    @property
    def names(self) -> set[str]:
        """The normalized names by which it can be blocked."""
        names = (self.record.name, self.record.distribution, *self.record.kinds)
        return {normalized(name) for name in names if name is not None}


class _HookManager(pluggy.PluginManager):
    """A pluggy manager that looks only at attributes that can be hooks."""

    # pluggy reads each attribute without running properties, which takes 15 us, and each hub registers its
    # plugins again. Most attributes of a small object are Python's own.

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Return the options of a hook, or None if the attribute is none."""
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)

    def parse_hookspec_opts(
        self, module_or_class: ModuleType | type, name: str
    ) -> pluggy.HookspecOpts | None:
        """Return the options of a hook's specification, or None if the attribute is none."""
        return None if name.startswith("__") else super().parse_hookspec_opts(module_or_class, name)


class Plugins:
    """The plugins that one hub can use; each hub has an object of its own.

    ``passed`` are plugin objects, modules or instances with hooks, which need no installation. They take
    precedence over installed ones of the same name. Raises :class:`~captchahub.errors.ConfigError` if one is
    no plugin.
    """

    def __init__(self, passed: Sequence[object] = ()) -> None:
        self._manager = _HookManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._manager.register(Builtin(), PROJECT)
        # Who blocks a name, for the message.
        self._blocked: dict[str, str] = {}
        self._passed: list[_Plugin] = []
        for plugin in checked_plugins(passed):
            self._add_passed(plugin)
        # After those passed in are known, because they can be blocked as well.
        for unknown in self.block(blocked_by_environment(), f"${BLOCKED}"):
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
        """The hooks of the plugins that are loaded, now or later."""
        return Hooks(self._manager)

    @property
    def records(self) -> Sequence[PluginRecord]:
        """What is known of each plugin, passed in or installed."""
        return [plugin.record for plugin in self._all]

    def kind_names(self) -> tuple[str, ...]:
        """Return the names of the provider kinds, sorted. Nothing is imported."""
        installed = (plugin.record.name for plugin in self._installed_for_kinds)
        return tuple(sorted({*self._passed_kinds(), *installed}))

    def names(self) -> tuple[str, ...]:
        """Return the names of all installed plugins, sorted. Nothing is imported."""
        return tuple(sorted({plugin.record.name for plugin in self._installed}))

    def task_types(self) -> _TaskTypes:
        """Return the task types of the loaded plugins, and the library's own, by their kinds."""
        # A plugin that is only installed adds none: its types are known once it is imported.
        types = {task_type.kind: task_type for task_type in Builtin().captchahub_task_types()}
        for plugin in self._loaded:
            types |= plugin.task_types
        return types

    def block(self, names: Iterable[str], source: str) -> list[str]:
        """Keep plugins from being imported or used; ``names`` are their own or those of their packages.

        ``source`` is the key or variable that blocks them. Returns the names that match no plugin.
        """
        wanted = list(names)
        if not wanted:
            # The usual case; it does not need the list of what is installed.
            return []
        self._blocked |= dict.fromkeys(wanted, source)
        for plugin in self._passed:
            self._mark_if_blocked(plugin)
        known = {name for plugin in self._all for name in plugin.names}
        return [name for name in wanted if normalized(name) not in known]

    def warn_of_unknown(self, name: str, source: str) -> None:
        """Log that a blocked name matches no plugin; ``source`` is the key or variable that has it."""
        known = advise(name, self.names(), "installed")
        log.warning("%s names %r, and no plugin or package is called so; %s", source, name, known)

    def kind(self, name: str) -> ProviderKind[object]:
        """Return the kind that ``plugin: name`` means. Of the installed plugins, only that one is imported.

        Raises :class:`~captchahub.errors.ConfigError` if there is none of that name, or two, and Unusable if
        it cannot be used.
        """
        # Those passed in come first, so that a program or a test can replace one that is installed.
        plugin = next((plugin for plugin in self._passed if name in plugin.record.kinds), None)
        if plugin is None:
            plugin = self._find(name, self._installed_for_kinds, self.kind_names())
        self._use(plugin)
        if name not in plugin.kinds:
            offered = ", ".join(plugin.record.kinds) or "none"
            error = f"{plugin.label} adds no kind named {name!r} (it adds: {offered}); update it"
            raise Unusable(attrs.evolve(plugin.record, error=error))
        return plugin.kinds[name]

    def load(self, name: str) -> None:
        """Import an installed plugin for its other hooks. If it cannot be used, that is logged and no error.

        Raises :class:`~captchahub.errors.ConfigError` if there is none of that name, or two.
        """
        try:
            self._use(self._find(name, self._installed, self.names()))
        except Unusable as error:
            log.error("%s", error)

    def load_all(self) -> None:
        """Import every plugin, to see which can be used."""
        for plugin in self._installed:
            with suppress(Unusable):
                self._use(plugin)

    def meant_by(self, name: str) -> tuple[str, Mapping[str, str]] | None:
        """Return the kind that has a name among its aliases, with the keys to write for it, or None.

        Of the installed plugins, only one that claims the name in its metadata is imported.
        """
        claimed = {point.value for point in points_in(_ALIASES) if is_alias(point.name, name)}
        for plugin in self._installed_for_kinds:
            if plugin.point is not None and plugin.point.value in claimed:
                with suppress(Unusable):
                    self._use(plugin)
        for kind in (kind for plugin in self._loaded for kind in plugin.kinds.values()):
            keys = keys_of_alias(kind, name)
            if keys is not None:
                return kind.name, keys
        return None

    @property
    def _all(self) -> Sequence[_Plugin]:
        return (*self._passed, *self._installed)

    @property
    def _loaded(self) -> Iterable[_Plugin]:
        return (plugin for plugin in self._all if plugin.record.state is PluginState.LOADED)

    @cached_property
    def _installed(self) -> Sequence[_Plugin]:
        return [
            _Plugin(
                PluginRecord(point.name, PluginState.INSTALLED, package_of(point), version_of(point)), point
            )
            for group in (PROJECT, _OTHERS)
            for point in points_in(group)
        ]

    @property
    def _installed_for_kinds(self) -> Sequence[_Plugin]:
        """The installed plugins that add provider kinds."""
        return [plugin for plugin in self._installed if plugin.point and plugin.point.group == PROJECT]

    def _passed_kinds(self) -> Iterable[str]:
        return (kind for plugin in self._passed for kind in plugin.record.kinds)

    def _find(self, name: str, candidates: Iterable[_Plugin], names: Iterable[str]) -> _Plugin:
        """Return the installed plugin of a name; if only one of several is not blocked, that one."""
        distinct: dict[tuple[str | None, str], _Plugin] = {}
        for plugin in candidates:
            if plugin.record.name == name and plugin.point is not None:
                # A package may name one object in both groups.
                distinct.setdefault((plugin.record.distribution, plugin.point.value), plugin)
        found = list(distinct.values())
        # If all are blocked, the first one: its record says so.
        left = [plugin for plugin in found if self._blocker(plugin) is None] or found[:1]
        if not left:
            raise ConfigError(f"no plugin named {name!r} is installed; {self._advice(name, names)}")
        if len(left) > 1:
            owners = " and ".join(sorted(plugin.record.distribution or "?" for plugin in left))
            raise ConfigError(
                f"{owners} both offer a plugin named {name!r}; uninstall one of them, or block one by the "
                "name of its package in plugins: {block: [...]}"
            )
        return left[0]

    def _advice(self, name: str, names: Iterable[str]) -> str:
        """Return what to do about a name that no plugin has."""
        meant = self.meant_by(name)
        if meant is not None:
            kind, keys = meant
            return f"write {', '.join(f'{key}: {value}' for key, value in {'plugin': kind, **keys}.items())}"
        # It names no package to install: anyone could have published one under a likely name.
        advice = f"{advise(name, names, 'installed')}; or install the plugin that adds it"
        # A program in one file, such as PyInstaller makes, comes without the metadata of packages.
        return f"{advice}, or pass its module: plugins=[...]" if hasattr(sys, "frozen") else advice

    def _blocker(self, plugin: _Plugin) -> str | None:
        """Return the key or variable that blocks a plugin, or None."""
        blocked = self._blocked.items()
        return next((source for name, source in blocked if normalized(name) in plugin.names), None)

    def _mark_if_blocked(self, plugin: _Plugin) -> None:
        source = self._blocker(plugin)
        if source is not None and plugin.record.state is not PluginState.BLOCKED:
            error = f"{plugin.label} is blocked by {source}; take it out there to use it"
            plugin.record = attrs.evolve(plugin.record, state=PluginState.BLOCKED, error=error)
            if plugin.plugin is not None:
                self._manager.unregister(plugin.plugin)

    def _use(self, plugin: _Plugin) -> None:
        """Import and register a plugin, if that has not been done. Raises Unusable."""
        if plugin.record.state is PluginState.INSTALLED:
            # First, because importing a plugin already runs its code.
            self._mark_if_blocked(plugin)
        if plugin.record.state is PluginState.INSTALLED and plugin.point is not None:
            try:
                self._register(plugin, _imported(plugin.point))
            except InvalidPlugin as invalid:
                plugin.record = attrs.evolve(
                    plugin.record,
                    state=invalid.state,
                    error=f"{plugin.label} {invalid}; {invalid.advice or 'update or reinstall it'}",
                    traceback=traceback_of(invalid),
                )
        if plugin.record.state is not PluginState.LOADED:
            raise Unusable(plugin.record)

    def _add_passed(self, passed: object) -> None:
        if isinstance(passed, str):
            raise ConfigError(f"plugins has the name {passed!r:.40} in it: import the module, and pass that")
        name = plugin_name(passed)
        label = f"the plugin {name} passed in"
        if isinstance(passed, type):
            raise ConfigError(f"{label} is a class, and its hooks need an object: write {name}()")
        if any(other.plugin is passed for other in self._passed):
            raise ConfigError(f"{label} is there twice; leave one of them out")
        plugin = _Plugin(PluginRecord(name, PluginState.INSTALLED))
        try:
            self._register(plugin, passed)
        except InvalidPlugin as invalid:
            advice = f"; {invalid.advice}" if invalid.advice else ""
            raise ConfigError(f"{label} {invalid}{advice}") from invalid.__cause__
        for kind in self._passed_kinds():
            if kind in plugin.kinds:
                raise ConfigError(
                    f"{label} adds the kind {kind!r}, which is there already; leave one of them out"
                )
        if not plugin.record.hooks:
            raise ConfigError(
                f"{label} has no hook of captchahub; pass the module, or the object, that has them"
            )
        self._passed.append(plugin)

    def _register(self, plugin: _Plugin, loaded: object) -> None:
        """Register the hooks of a loaded object. Raises InvalidPlugin, and then registers nothing."""
        registered = None
        try:
            # Two entry points can name one module. Not is_registered(), which compares by equality.
            if not any(known is loaded for _, known in self._manager.list_name_plugin()):
                if self._manager.is_registered(loaded):
                    raise InvalidPlugin(
                        "is equal to another plugin, and pluggy can't distinguish the two; "
                        "give its class eq=False"
                    )
                check_hooks(self._manager, loaded)
                registered = self._manager.register(loaded)
                # For @hookimpl(specname=...), because check_hooks() reads the function's own name.
                self._manager.check_pending()
            self._note_additions(plugin, loaded)
        except foreign_errors() as error:
            if registered is not None:
                self._manager.unregister(name=registered)
            if isinstance(error, InvalidPlugin):
                raise
            raise invalid_because(error, "can't be used") from error

    def _note_additions(self, plugin: _Plugin, loaded: object) -> None:
        kinds, types = provider_kinds(self._manager, loaded), task_types(self._manager, loaded)
        known = self.task_types()
        for kind, task_type in types.items():
            if known.get(kind, task_type) is not task_type:
                raise InvalidPlugin(
                    f"adds the task kind {kind!r}, which is there already; leave one of them out"
                )
        # Last, because a plugin that is refused must add nothing.
        plugin.plugin, plugin.kinds, plugin.task_types = loaded, kinds, types
        plugin.record = attrs.evolve(
            plugin.record,
            state=PluginState.LOADED,
            kinds=tuple(kinds),
            tasks=tuple(types),
            hooks=tuple(sorted(caller.name for caller in self._manager.get_hookcallers(loaded) or ())),
        )


def checked_plugins(passed: object) -> tuple[object, ...]:
    """Return the plugin objects passed in. Raises ConfigError if that is no list of them."""
    found = f"the module {plugin_name(passed)}" if isinstance(passed, ModuleType) else type(passed).__name__
    if isinstance(passed, Iterable) and not isinstance(passed, (str, bytes, Mapping)):
        return tuple(passed)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # of anything
    raise ConfigError(f"plugins is a list of plugin objects, as in plugins=[my_plugin], and not {found}")


def _imported(point: EntryPoint) -> object:
    try:
        loaded: object = point.load()
    except foreign_errors() as error:
        raise invalid_because(error, "can't be imported") from error
    if isinstance(loaded, type):
        raise InvalidPlugin(
            f"names a class, and hooks need an object: write `plugin = {loaded.__name__}()` and name "
            f"`{point.module}:plugin`"
        )
    return loaded
