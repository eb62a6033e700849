"""Letting plugins prepare tasks: in threads of their own, and only for so long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from captchahub._plugins.hooks import Hooks
from captchahub._support.log import log
from captchahub._support.threads import Workers
from captchahub.extending import Prepared
from captchahub.tasks import Solution, Task

__all__ = ["TaskPreparer"]

T = TypeVar("T")

P = ParamSpec("P")

# So many pictures are worked on at a time.
_MOST_AT_ONCE = 4

# How long plugins may take for one, in seconds; the share of what is left that they may take; and how long
# closing waits for them.
_LIMIT = 10.0

_SHARE = 0.25

_PATIENCE = 2.0

# After being too late so often in a row, plugins are taken to hang.
_ENOUGH = 4


class _Threads(Executor):
    """Workers as asyncio asks for them. They are daemons: a plugin that hangs does not hold the program."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call it in one of the threads."""
        return self._workers.begin(partial(fn, *args, **kwargs))


class TaskPreparer:
    """The preparing of tasks in one hub."""

    def __init__(self) -> None:
        self._workers = Workers("plugins", _MOST_AT_ONCE)
        self._threads = _Threads(self._workers)
        self._too_late = 0

    async def prepared(
        self, hooks: Hooks, task: Task[Solution], provider: str, plugin: str, left: float
    ) -> Prepared:
        """The task as a provider, of a kind, is to get it, where the attempt has so many seconds left."""
        if not hooks.prepares or self._too_late >= _ENOUGH:
            return Prepared(task)
        limit = min(_LIMIT, left * _SHARE)
        prepare = partial(hooks.prepare_task, task, provider, plugin)
        work = partial(copy_context().run, prepare)
        try:
            async with asyncio.timeout(limit):
                prepared = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            self._too_late += 1
            log.error("captchahub_prepare_task took more than %.1f s: the task is sent as it was", limit)
            if self._too_late == _ENOUGH:
                log.error("no more tasks are prepared in this hub: that was %d times in a row", _ENOUGH)
            return Prepared(task)
        self._too_late = 0
        return prepared

    async def aclose(self) -> None:
        """Let go of the threads."""
        await self._workers.aclose(_PATIENCE)
