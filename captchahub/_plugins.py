"""Finding plugins: those passed in, and those installed under the entry-point group ``captchahub``."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points

import pluggy

from captchahub._config.problems import advise
from captchahub._foreign import FAULTS
from captchahub._log import log
from captchahub.errors import ConfigError
from captchahub.hookspecs import PROJECT, HookSpecs
from captchahub.provider import ProviderKind
from captchahub.tasks import Solution, Task

Kinds = dict[str, ProviderKind[object]]

_REINSTALL = "; update or reinstall it"


class Plugins:
    """The plugins that one hub can use; another hub's are another object's.

    ``passed`` are plugin objects, modules or instances with hooks, that need no installation. They go before
    installed ones of the same name. Raises :class:`~captchahub.errors.ConfigError` where one is no plugin.
    """

    def __init__(self, passed: Sequence[object] = ()) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._known: Kinds = {}
        for plugin in passed:
            who = f"the plugin {_name(plugin)} passed in"
            if isinstance(plugin, type):
                raise ConfigError(f"{who} is a class, and its hooks need an object: write {_name(plugin)}()")
            self._known |= _disjoint(self._register(plugin, who), self._known, who)

    def names(self) -> tuple[str, ...]:
        """The names of all kinds there are, sorted; nothing is imported for it."""
        return tuple(sorted({*self._known, *self._installed}))

    def kind(self, name: str) -> ProviderKind[object]:
        """The kind that ``plugin: name`` means; of the installed plugins, only that one is imported.

        Raises :class:`~captchahub.errors.ConfigError` where there is none of that name, or two, or where
        its plugin is broken.
        """
        if name in self._known:
            return self._known[name]
        points = self._installed.get(name, [])
        if not points:
            raise ConfigError(self._unknown(name))
        if len(points) > 1:
            owners = " and ".join(sorted(_distribution(point) for point in points))
            raise ConfigError(f"{owners} both offer a plugin named {name!r}; uninstall one of them")
        return self._load(points[0])

    def check_solution(self, task: Task[Solution], solution: Solution) -> str | None:
        """What the plugins registered so far have against an answer, None where that is nothing."""
        given = {"task": task, "solution": solution}
        # The last one registered is asked first, as pluggy does.
        for check in reversed(self._manager.hook.captchahub_check_solution.get_hookimpls()):
            # One at a time, so that a broken one does not silence the others.
            try:
                said: object = check.function(*(given[name] for name in check.argnames if name in given))
            except FAULTS:
                log.exception("captchahub_check_solution of %s failed: left out", _name(check.plugin))
                continue
            if isinstance(said, str) and said.strip():
                return said
            if said is not None:
                name, found = _name(check.plugin), type(said).__name__
                log.error("captchahub_check_solution of %s gave a %s: left out", name, found)
                _close(said)
        return None

    @cached_property
    def _installed(self) -> Mapping[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=PROJECT):
            found.setdefault(point.name, []).append(point)
        return found

    def _unknown(self, name: str) -> str:
        known = advise(name, self.names(), "installed")
        # No package is named: one that nobody here knows of may be anybody's.
        return f"no plugin named {name!r} is installed; {known}; or install the plugin that adds it"

    def _load(self, point: EntryPoint) -> ProviderKind[object]:
        who = f"the plugin {point.name!r} of {_distribution(point)}"
        try:
            plugin: object = point.load()
        except Exception as error:
            raise ConfigError(_broken(who, "can't be imported", error) + _REINSTALL) from error
        kinds = self._register(plugin, who, advice=_REINSTALL)
        if point.name not in kinds:
            offered = ", ".join(sorted(kinds)) or "none"
            raise ConfigError(f"{who} adds no kind named {point.name!r} (it adds: {offered}); update it")
        self._known[point.name] = kinds[point.name]
        return kinds[point.name]

    def _register(self, plugin: object, who: str, *, advice: str = "") -> Kinds:
        try:
            if not self._manager.is_registered(plugin):
                self._manager.register(plugin)
                self._manager.check_pending()
            others = [other for other in self._manager.get_plugins() if other is not plugin]
            hook = self._manager.subset_hook_caller("captchahub_provider_kinds", others)
            answers: list[Iterable[object]] = hook()
            offered = [kind for answer in answers for kind in answer]
        except Exception as error:
            raise ConfigError(_broken(who, "can't be used", error) + advice) from error
        return _checked(offered, who, advice=advice)


def _close(said: object) -> None:
    # A check that was written with "async def" waits for ever; Python would complain of it.
    if isinstance(said, Coroutine):
        said.close()


def _checked(offered: Sequence[object], who: str, *, advice: str) -> Kinds:
    kinds: Kinds = {}
    for kind in offered:
        if not isinstance(kind, ProviderKind):
            found = type(kind).__name__
            raise ConfigError(f"{who} offers a {found} where a ProviderKind belongs{advice}")
        kinds |= _disjoint({kind.name: kind}, kinds, who)
    return kinds


def _disjoint(kinds: Kinds, earlier: Kinds, who: str) -> Kinds:
    for name in kinds:
        if name in earlier:
            raise ConfigError(f"{who} adds the kind {name!r}, which is there already; leave one of them out")
    return kinds


def _broken(who: str, how: str, error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{who} {how}: {type(error).__name__}: {words}"


def _distribution(point: EntryPoint) -> str:
    return "an unnamed distribution" if point.dist is None else point.dist.name


def _name(plugin: object) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))
