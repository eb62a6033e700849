"""Calls the hooks of plugins one at a time, so that a plugin that fails silences no other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import pluggy

from captchahub._plugins.dispatcher import Observer
from captchahub._policy.ordering import order
from captchahub._support.guard import foreign_errors
from captchahub._support.log import log
from captchahub.events import Event
from captchahub.extending import Candidate, HubStatus, Prepared
from captchahub.frames import Frame
from captchahub.hookspecs import CONTRACT, hookimpl
from captchahub.settings import RouteSettings
from captchahub.tasks import ImageToText, PhoneSlide, Solution, Task

T = TypeVar("T")


class Builtin:
    """The hooks of the library itself, which are called like those of any plugin."""

    captchahub_contract = CONTRACT

    @hookimpl
    def captchahub_task_types(self) -> Iterable[type[Task[Solution]]]:
        """Return the task types of the library: pictures of text, and drags on a phone's screen."""
        return [ImageToText, PhoneSlide]

    @hookimpl(trylast=True)
    def captchahub_order_providers(
        self, route: RouteSettings, candidates: Sequence[Candidate], chance: Callable[[], float]
    ) -> Sequence[str]:
        """Order by the priorities, weights and strategy of the route, unless a plugin has ordered already."""
        known = {candidate.name: candidate for candidate in candidates}
        return order(route, known.__getitem__, chance)


class Hooks:
    """The hooks of the plugins that a manager knows, as :mod:`captchahub.hookspecs` describes them.

    pluggy could call all plugins at once, but it stops at the first error, and a plugin is not to lose an
    answer that another one would have accepted. So each plugin is called alone, the last one registered
    first, as pluggy itself does. What it raises is logged and counts as no answer, and so does a value of a
    wrong type.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        # Read anew for each call, because plugins are registered and blocked later, too.
        self._hooks = manager.hook

    def check_solution(self, task: Task[Solution], solution: Solution) -> str | None:
        """Return the objection of the first plugin that has one, or None."""
        hook = self._hooks.captchahub_check_solution
        return next(_answers(hook, hook.get_hookimpls(), _objection, task=task, solution=solution), None)

    @property
    def prepares(self) -> bool:
        """Whether any plugin prepares tasks."""
        return bool(self._hooks.captchahub_prepare_task.get_hookimpls())

    def prepare_task(self, task: Task[Solution], provider: str, plugin: str) -> Prepared:
        """Return the task as all plugins together have prepared it, each from what the one before made."""
        hook, prepared = self._hooks.captchahub_prepare_task, Prepared(task)
        for impl in reversed(hook.get_hookimpls()):
            read = partial(_combined, prepared)
            answers = _answers(hook, [impl], read, task=prepared.task, provider=provider, plugin=plugin)
            prepared = next(answers, prepared)
        return prepared

    def order_providers(
        self,
        task: Task[Solution],
        route: RouteSettings,
        candidates: Sequence[Candidate],
        chance: Callable[[], float],
    ) -> Sequence[str]:
        """Return the providers in the order of the first plugin that returns one; the built-in one does."""
        hook = self._hooks.captchahub_order_providers
        read = partial(_names_among, {candidate.name for candidate in candidates})
        arguments = {"task": task, "route": route, "candidates": candidates, "chance": chance}
        return next(_answers(hook, hook.get_hookimpls(), read, **arguments), route.names)

    def watch(self, hub: HubStatus) -> None:
        """Hand out the status of a hub."""
        hook = self._hooks.captchahub_watch
        for _ in _answers(hook, hook.get_hookimpls(), _no_answer, hub=hub):
            pass

    @property
    def observers(self) -> Sequence[tuple[str, Observer]]:
        """The observers of events, with the names of their plugins."""
        impls = reversed(self._hooks.captchahub_observe.get_hookimpls())
        return [(plugin_name(impl.plugin), partial(_observe, impl)) for impl in impls]


def plugin_name(plugin: object) -> str:
    """Return what to call a plugin object: the name of a module, the class of anything else."""
    try:
        return str(getattr(plugin, "__name__", type(plugin).__name__))
    except foreign_errors():
        return type(plugin).__name__


def _answers(
    hook: pluggy.HookCaller,
    impls: Sequence[pluggy.HookImpl],
    read: Callable[[object], T | None],
    **arguments: object,
) -> Iterator[T]:
    """Yield what ``read`` makes of each plugin's answer, and call the next plugin only if it is asked for.

    ``read`` returns None for an answer of a wrong type. That is logged, unless the plugin returned None.
    """
    for impl in reversed(impls):
        try:
            answer = _call(impl, arguments)
            usable = read(answer)
        except foreign_errors():
            log.exception("%s of %s failed: ignored", hook.name, plugin_name(impl.plugin))
            continue
        if usable is not None:
            yield usable
        elif answer is not None:
            type_name = type(answer).__name__
            log.error("%s of %s returned a %s: ignored", hook.name, plugin_name(impl.plugin), type_name)
            # A hook that was written with "async def". Python warns of a coroutine that is never awaited.
            if isinstance(answer, Coroutine):
                answer.close()


def _call(impl: pluggy.HookImpl, arguments: Mapping[str, object]) -> object:
    # Like pluggy: an implementation takes only those arguments that it wants.
    return impl.function(*[arguments[name] for name in impl.argnames])


def _observe(impl: pluggy.HookImpl, event: Event) -> None:
    _call(impl, {"event": event})


def _no_answer(_answer: object) -> object | None:
    return None


def _objection(answer: object) -> str | None:
    return answer if isinstance(answer, str) and answer.strip() else None


def _combined(first: Prepared, second: object) -> Prepared | None:
    """Return what two preparations come to, or None if the second is not one of the same task kind."""
    match second:
        # Plugins need not use a type checker, so the fields can hold anything.
        case Prepared(task=Task() as task, frame=Frame() as frame) if task.kind == first.task.kind:
            # Two frames can combine to numbers beyond the range of a float.
            with suppress(ValueError, ArithmeticError):
                return Prepared(task, frame.within(first.frame))
        case _:
            pass
    return None


def _names_among(known: set[str], answer: object) -> Sequence[str] | None:
    """Return the names in a plugin's answer, or None if there are none, or any is unknown or there twice."""
    if not isinstance(answer, (list, tuple)):
        return None
    names: list[object] = [*answer]  # pyright: ignore[reportUnknownArgumentType]  # it may be of anything
    strings = [name for name in names if isinstance(name, str) and name in known]
    return strings if 0 < len(names) == len(strings) == len(set(strings)) else None
