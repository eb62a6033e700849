"""The hooks a plugin can implement.

A plugin is any object, most often a module, with functions or methods that are named like a hook here and
marked with :data:`hookimpl`. They can leave out arguments that they do not need. One that adds kinds of
provider is found through the entry-point group ``captchahub``, under the name of the kind, and is imported
for providers whose ``plugin:`` that is. Any other one is found through the group ``captchahub.plugins``, and
imported where the configuration names it in ``plugins: {load: [...]}``.

A plugin says with ``captchahub_contract = 1`` for which version of all this it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pluggy

from captchahub.events import Event
from captchahub.extending import Candidate, Prepared
from captchahub.provider import ProviderKind
from captchahub.settings import RouteSettings
from captchahub.tasks import Solution, Task

__all__ = ["CONTRACT", "HookSpecs", "hookimpl"]

PROJECT = "captchahub"

CONTRACT = 1
"""The version of the contract between plugins and the core: these hooks, and ``captchahub.provider``."""

hookspec = pluggy.HookspecMarker(PROJECT)

hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecs:
    """Every hook there is, with what it must return."""

    @hookspec
    def captchahub_provider_kinds(self) -> Iterable[ProviderKind[object]]:
        """The kinds of provider that this plugin adds.

        The name of each is also the name of an entry point, so that only plugins which the configuration
        uses are ever imported.
        """
        raise NotImplementedError

    @hookspec
    def captchahub_task_types(self) -> Iterable[type[Task[Solution]]]:
        """The types of task that this plugin adds: attrs classes with the picture in a field ``image``.

        Their kinds can have routes and prices in the configuration, and ``captchahub solve --type`` takes
        them; their further fields are ``--option NAME=VALUE`` there.
        """
        raise NotImplementedError

    @hookspec
    def captchahub_prepare_task(self, task: Task[Solution], provider: str, plugin: str) -> Prepared | None:
        """The task as one provider is to get it, such as with a smaller picture; None to leave it as it is.

        ``provider`` is the name in the configuration, ``plugin`` that of its kind. It is called for each
        attempt, in a worker thread, before anything is ordered; of several plugins each gets what the one
        before has made. What it raises is logged, and the task is sent as it was. The answer is mapped back
        by the frame before it is checked.
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
        """The names of the providers in the order in which to ask them; None to leave that to others.

        The first answer counts. Who is left out is not asked. ``candidates`` has every provider of the route;
        ``chance`` gives numbers from 0 to 1, for those who draw lots. It is called in the hub's own thread,
        which it must not block. What it raises, or names that are not on the route, are logged and left out.
        """
        raise NotImplementedError

    @hookspec
    def captchahub_check_solution(self, task: Task[Solution], solution: Solution) -> str | None:
        """Why an answer can't be right, None where nothing speaks against it.

        It is asked for every answer that passes the task's own check. An answer that it refuses is a failed
        attempt (``WrongSolution``), so that the next provider is asked. It is called in the hub's own thread,
        which it must not block. What it raises, or returns that is no text, is logged and counts as nothing
        against the answer, which is paid for.
        """
        raise NotImplementedError

    @hookspec
    def captchahub_observe(self, event: Event) -> None:
        """Take note of something that happened: one of the classes of :mod:`captchahub.events`.

        It is called in a thread for observers alone, with the context variables of who submitted the task.
        What it raises is logged, once for each plugin. Where observers are slower than the hub for so long
        that thousands of events wait, the newest are dropped, and the log says how many.
        """
        raise NotImplementedError
