"""Runs the plugins that prepare tasks in threads of their own, within a time limit."""

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

T = TypeVar("T")

P = ParamSpec("P")

# Plugins decode and shrink pictures, which keeps a processor busy: more threads would only slow one another.
_THREADS = 4

# The time of all plugins for one task, in seconds, and as a share of the time that the attempt has left: most
# of that belongs to the service.
_MAX_SECONDS = 10.0

_MAX_SHARE = 0.25

_CLOSING_SECONDS = 2.0

# After this many timeouts in a row plugins are taken to hang: then each thread may be lost to one.
_MAX_TIMEOUTS = _THREADS


class _WorkersExecutor(Executor):
    """Workers in the form in which asyncio wants them.

    asyncio's own executor would wait for a plugin that hangs before the program could end; the threads of
    :class:`Workers` are daemons. Tests put a clock into the loop's ``run_in_executor``.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in one of the threads."""
        return self._workers.submit(partial(fn, *args, **kwargs))


class TaskPreparer:
    """Prepares the tasks of one hub."""

    def __init__(self) -> None:
        self._workers = Workers("plugins", _THREADS)
        self._executor = _WorkersExecutor(self._workers)
        self._timeouts = 0

    async def prepared(
        self, hooks: Hooks, task: Task[Solution], provider: str, plugin: str, left: float
    ) -> Prepared:
        """Return the task as a provider will receive it; the attempt has ``left`` seconds left.

        If the plugins take too long, that is the task as it was.
        """
        if not hooks.prepares or self._timeouts >= _MAX_TIMEOUTS:
            return Prepared(task)
        limit = min(_MAX_SECONDS, left * _MAX_SHARE)
        # A thread does not inherit the context variables, among them the solve's id for the log.
        work = partial(copy_context().run, partial(hooks.prepare_task, task, provider, plugin))
        try:
            async with asyncio.timeout(limit):
                prepared = await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except TimeoutError:
            # The plugin still runs, because a thread cannot be interrupted. What it returns is ignored.
            self._timeouts += 1
            log.error("captchahub_prepare_task took more than %.1f s: the task is sent as it was", limit)
            if self._timeouts == _MAX_TIMEOUTS:
                log.error("this hub prepares no more tasks, after %d timeouts in a row", _MAX_TIMEOUTS)
            return Prepared(task)
        self._timeouts = 0
        return prepared

    async def aclose(self) -> None:
        """End the threads."""
        await self._workers.aclose(_CLOSING_SECONDS)
