"""Calling hooks: one plugin at a time, so that what is wrong with one silences no other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial

import pluggy

from captchahub._support.guard import foreign_errors
from captchahub._support.log import log
from captchahub.events import Event
from captchahub.extending import Candidate, Prepared
from captchahub.frames import Frame
from captchahub.settings import RouteSettings
from captchahub.tasks import Solution, Task

__all__ = ["Hooks", "Observer", "name_of"]


Observer = Callable[[Event], None]
"""Takes note of an event; it is called in a thread of its own."""


class Hooks:
    """The hooks of the plugins that one manager knows, as :mod:`captchahub.hookspecs` describes them."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager

    def check_solution(self, task: Task[Solution], solution: Solution) -> str | None:
        """What the first plugin that has anything against an answer says, None where that is nobody."""
        hook = "captchahub_check_solution"
        for who, said in self._each(hook, task=task, solution=solution):
            if isinstance(said, str) and said.strip():
                return said
            if said is not None:
                _tell_left_out(hook, who, said)
        return None

    @property
    def prepares(self) -> bool:
        """Whether any plugin prepares tasks."""
        return bool(self._impls("captchahub_prepare_task"))

    def prepare_task(self, task: Task[Solution], provider: str, plugin: str) -> Prepared:
        """The task as all plugins together have prepared it."""
        hook, prepared = "captchahub_prepare_task", Prepared(task)
        for impl in self._impls(hook):
            # Anew for each, which gets what the one before has made; one that fails says nothing.
            for who, made in self._called(hook, [impl], task=prepared.task, provider=provider, plugin=plugin):
                both = _one_after_the_other(prepared, made, task.kind)
                if both is not None:
                    prepared = both
                elif made is not None:
                    _tell_left_out(hook, who, made)
        return prepared

    def order_providers(
        self,
        task: Task[Solution],
        route: RouteSettings,
        candidates: Sequence[Candidate],
        chance: Callable[[], float],
    ) -> Sequence[str]:
        """The providers in the order of the first plugin that gives one; the built-in one always does."""
        hook, known = "captchahub_order_providers", {one.name for one in candidates}
        for who, said in self._each(hook, task=task, route=route, candidates=candidates, chance=chance):
            names = _names_among(known, said)
            if names:
                return names
            if said is not None:
                _tell_left_out(hook, who, said)
        return route.names

    @property
    def observers(self) -> Sequence[tuple[str, Observer]]:
        """Whoever is to be told of events, with their plugins' names."""
        impls = self._impls("captchahub_observe")
        return [(name_of(impl.plugin), partial(_observe, impl)) for impl in impls]

    def _impls(self, hook: str) -> Sequence[pluggy.HookImpl]:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        # The last one registered is asked first, as pluggy does.
        return list(reversed(caller.get_hookimpls()))

    def _each(self, hook: str, **given: object) -> Iterator[tuple[str, object]]:
        return self._called(hook, self._impls(hook), **given)

    def _called(
        self, hook: str, impls: Sequence[pluggy.HookImpl], **given: object
    ) -> Iterator[tuple[str, object]]:
        """What each of them says, with its plugin's name; nothing of one that fails."""
        for impl in impls:
            who = name_of(impl.plugin)
            try:
                said = _call(impl, given)
            except foreign_errors():
                log.exception("%s of %s failed: left out", hook, who)
                continue
            yield who, said


def name_of(plugin: object) -> str:
    """What to call a plugin object."""
    try:
        return str(getattr(plugin, "__name__", type(plugin).__name__))
    except foreign_errors():
        return type(plugin).__name__


def _call(impl: pluggy.HookImpl, given: Mapping[str, object]) -> object:
    """What an implementation gives, which takes those arguments that it wants."""
    return impl.function(*(given[name] for name in impl.argnames))


def _observe(impl: pluggy.HookImpl, event: Event) -> None:
    _call(impl, {"event": event})


def _one_after_the_other(first: Prepared, made: object, kind: str) -> Prepared | None:
    """What two preparations come to, None where the second is none of a task of that kind."""
    if not isinstance(made, Prepared) or not _is_of_kind(made, kind):
        return None
    try:
        return Prepared(made.task, made.frame.within(first.frame))
    except (ValueError, ArithmeticError):
        return None  # further than a number can say


def _is_of_kind(made: Prepared, kind: str) -> bool:
    """Whether a plugin has filled in what it made, with a task of that kind."""
    fields: tuple[object, object] = (made.task, made.frame)
    match fields:
        case Task(), Frame():
            return made.task.kind == kind
        case _:
            return False


def _names_among(known: set[str], said: object) -> Sequence[str]:
    """The names that a plugin gave, none where they are not what it must give."""
    if not isinstance(said, (list, tuple)):
        return ()
    try:
        names: list[object] = [*said]  # pyright: ignore[reportUnknownArgumentType]  # it may be of anything
    except foreign_errors():
        return ()  # a subclass with a will of its own
    strings = [name for name in names if isinstance(name, str) and name in known]
    return strings if len(strings) == len(names) == len(set(strings)) else ()


def _tell_left_out(hook: str, who: str, said: object) -> None:
    log.error("%s of %s gave a %s: left out", hook, who, type(said).__name__)
    # One that was written with "async def" waits for ever; Python would complain of it.
    if isinstance(said, Coroutine):
        said.close()
