"""The hooks a plugin can implement."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from captchahub.provider import ProviderKind
from captchahub.tasks import Solution, Task

PROJECT = "captchahub"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecs:
    """Every hook there is, with what it must return."""

    @hookspec
    def captchahub_provider_kinds(self) -> Iterable[ProviderKind[object]]:
        """The kinds of provider that this plugin adds.

        A plugin is found through the entry-point group ``captchahub``; the entry point's name is the name
        of the kind, so that only plugins which the configuration uses are ever imported.
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
