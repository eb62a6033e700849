"""Calls the hooks of plugins one at a time, so that a plugin that fails silences no other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import partial

import pluggy

from captchahub._plugins.dispatcher import Observer
from captchahub._support.guard import foreign_errors
from captchahub._support.log import log
from captchahub.events import Event
from captchahub.extending import Candidate, Prepared
from captchahub.frames import Frame
from captchahub.settings import RouteSettings
from captchahub.tasks import Solution, Task

__all__ = ["Hooks", "plugin_name"]


class Hooks:
    """The hooks of the plugins that a manager knows, as :mod:`captchahub.hookspecs` describes them.

    pluggy could call all plugins at once, but it stops at the first error, and a plugin is not to lose an
    answer that another one would have accepted. So each plugin is called alone. What it raises is logged and
    counts as no answer, and so does a value of a wrong type.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager

    def check_solution(self, task: Task[Solution], solution: Solution) -> str | None:
        """Return the objection of the first plugin that has one, or None."""
        hook = "captchahub_check_solution"
        for impl, objection in _answers(hook, self._impls(hook), task=task, solution=solution):
            if isinstance(objection, str) and objection.strip():
                return objection
            if objection is not None:
                _log_wrong_answer(hook, impl, objection)
        return None

    @property
    def prepares(self) -> bool:
        """Whether any plugin prepares tasks."""
        return bool(self._impls("captchahub_prepare_task"))

    def prepare_task(self, task: Task[Solution], provider: str, plugin: str) -> Prepared:
        """Return the task as all plugins together have prepared it, each from what the one before made."""
        hook, prepared = "captchahub_prepare_task", Prepared(task)
        for impl in self._impls(hook):
            for _, made in _answers(hook, [impl], task=prepared.task, provider=provider, plugin=plugin):
                combined = _combined(prepared, made)
                if combined is not None:
                    prepared = combined
                elif made is not None:
                    _log_wrong_answer(hook, impl, made)
        return prepared

    def order_providers(
        self,
        task: Task[Solution],
        route: RouteSettings,
        candidates: Sequence[Candidate],
        chance: Callable[[], float],
    ) -> Sequence[str]:
        """Return the providers in the order of the first plugin that returns one; the built-in one does."""
        hook, known = "captchahub_order_providers", {candidate.name for candidate in candidates}
        answers = _answers(
            hook, self._impls(hook), task=task, route=route, candidates=candidates, chance=chance
        )
        for impl, answer in answers:
            names = _names_among(known, answer)
            if names:
                return names
            if answer is not None:
                _log_wrong_answer(hook, impl, answer)
        return route.names

    @property
    def observers(self) -> Sequence[tuple[str, Observer]]:
        """The observers of events, with the names of their plugins."""
        impls = self._impls("captchahub_observe")
        return [(plugin_name(impl.plugin), partial(_observe, impl)) for impl in impls]

    def _impls(self, hook: str) -> Sequence[pluggy.HookImpl]:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        # The last one registered is called first, as pluggy itself does.
        return caller.get_hookimpls()[::-1]


def plugin_name(plugin: object) -> str:
    """Return what to call a plugin object: the name of a module, the class of anything else."""
    try:
        return str(getattr(plugin, "__name__", type(plugin).__name__))
    except foreign_errors():
        return type(plugin).__name__


def _answers(
    hook: str, impls: Iterable[pluggy.HookImpl], **arguments: object
) -> Iterator[tuple[pluggy.HookImpl, object]]:
    """Yield the answer of each plugin that does not fail, and call the next one only if it is asked for."""
    for impl in impls:
        try:
            answer = _call(impl, arguments)
        except foreign_errors():
            log.exception("%s of %s failed: ignored", hook, plugin_name(impl.plugin))
            continue
        yield impl, answer


def _call(impl: pluggy.HookImpl, arguments: Mapping[str, object]) -> object:
    # Like pluggy: an implementation takes only those arguments that it wants.
    return impl.function(*[arguments[name] for name in impl.argnames])


def _observe(impl: pluggy.HookImpl, event: Event) -> None:
    _call(impl, {"event": event})


def _combined(first: Prepared, second: object) -> Prepared | None:
    """Return what two preparations come to, or None if the second is not one of the same task kind."""
    if not isinstance(second, Prepared):
        return None
    # Plugins need not use a type checker.
    fields: tuple[object, object] = (second.task, second.frame)
    match fields:
        case Task(), Frame() if second.task.kind == first.task.kind:
            pass
        case _:
            return None
    try:
        return Prepared(second.task, second.frame.within(first.frame))
    except (ValueError, ArithmeticError):
        return None  # beyond the range of a float


def _names_among(known: set[str], answer: object) -> Sequence[str]:
    """Return the names in a plugin's answer, or nothing if any of them is unknown or there twice."""
    if not isinstance(answer, (list, tuple)):
        return ()
    try:
        names: list[object] = [*answer]  # pyright: ignore[reportUnknownArgumentType]  # it may be of anything
    except foreign_errors():
        return ()  # a subclass can do anything
    strings = [name for name in names if isinstance(name, str) and name in known]
    return strings if len(strings) == len(names) == len(set(strings)) else ()


def _log_wrong_answer(hook: str, impl: pluggy.HookImpl, answer: object) -> None:
    log.error("%s of %s returned a %s: ignored", hook, plugin_name(impl.plugin), type(answer).__name__)
    # One that was written with "async def"; Python warns of a coroutine that is never awaited.
    if isinstance(answer, Coroutine):
        answer.close()
