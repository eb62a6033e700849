"""The hooks a plugin can implement.

A plugin is any object, usually a module, with functions or methods that have the name of a hook and are
marked with :data:`hookimpl`. They may leave out arguments that they do not need.

A plugin that adds a kind of provider is found through the entry-point group ``captchahub``, under the name of
the kind. It is imported if a provider of the configuration has that name as its ``plugin:``. Any other plugin
is found through the group ``captchahub.plugins``, and is imported if the configuration names it in
``plugins: {load: [...]}``.

A plugin states the version of this contract that it was written for with ``captchahub_contract = 1``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pluggy

from captchahub.events import Event
from captchahub.extending import Candidate, HubStatus, Prepared
from captchahub.provider import ProviderKind
from captchahub.settings import RouteSettings
from captchahub.tasks import Solution, Task

__all__ = ["CONTRACT", "HookSpecs", "hookimpl"]

PROJECT = "captchahub"

CONTRACT = 1
"""The version of the contract between plugins and the library: these hooks, and ``captchahub.provider``."""

hookspec = pluggy.HookspecMarker(PROJECT)

hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecs:
    """Every hook, and what it must return."""

    @hookspec
    def captchahub_provider_kinds(self) -> Iterable[ProviderKind[object]]:
        """Return the kinds of provider that this plugin adds.

        The name of each kind must also be the name of an entry point. This lets the library import only the
        plugins that the configuration uses.
        """
        raise NotImplementedError

    @hookspec
    def captchahub_task_types(self) -> Iterable[type[Task[Solution]]]:
        """Return the types of task that this plugin adds: attrs classes with a field ``image``.

        Their kinds can have routes and prices in the configuration, and are valid for
        ``captchahub solve --type``, where their other fields are set with ``--option NAME=VALUE``.
        """
        raise NotImplementedError

    @hookspec
    def captchahub_prepare_task(self, task: Task[Solution], provider: str, plugin: str) -> Prepared | None:
        """Return the task as one provider will receive it, or None to leave it unchanged.

        The new task can have a smaller picture, for example. ``provider`` is the name in the configuration,
        ``plugin`` the name of its kind. The hook is called for each attempt, in a worker thread, before a job
        is created. If several plugins have it, each receives what the one before returned. If it raises, the
        error is logged and the task is sent unchanged. The answer is mapped back through the frame before it
        is checked.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def captchahub_order_providers(
        self,
        task: Task[Solution],
        route: RouteSettings,
        candidates: Sequence[Candidate],
        chance: Callable[[], float],
    ) -> Sequence[str] | None:
        """Return the names of the providers in the order to call them, or None to leave it to other plugins.

        The first answer that is not None counts. A provider that is left out is not called. ``candidates``
        has every provider of the route; ``chance()`` returns a random number from 0 to 1. The hook is not
        called for a route with one provider. It is called in the hub's own thread, which it must not block.
        An error that it raises, and names that are not on the route, are logged and ignored.
        """
        raise NotImplementedError

    @hookspec
    def captchahub_check_solution(self, task: Task[Solution], solution: Solution) -> str | None:
        """Return why an answer cannot be right, or None if it may be right.

        The hook is called for every answer that passes the task's own check. A reason fails the attempt with
        ``WrongSolution``, and the next provider is called. The hook is called in the hub's own thread, which
        it must not block. If it raises, or returns anything but a text, that is logged and the answer is
        accepted, because it is already paid for.
        """
        raise NotImplementedError

    @hookspec
    def captchahub_observe(self, event: Event) -> None:
        """Receive an event, which is an object of a class in :mod:`captchahub.events`.

        The hook is called in a thread that only runs observers, with the context variables of the caller that
        submitted the task. An error that it raises is logged, once for each plugin. If observers are so slow
        that thousands of events wait, the newest are dropped, and their number is logged.
        """
        raise NotImplementedError

    @hookspec
    def captchahub_watch(self, hub: HubStatus) -> None:
        """Receive an object to read the state of a hub from, at any time and in any thread.

        The hook is called when a hub is created, before its first event, and again after each reload with the
        same object. A forked child calls it with an object of its own when it first uses the hub. A plugin
        should keep a weak reference, because a hub that is forgotten is to be freed. An error that it raises
        is logged.
        """
        raise NotImplementedError
