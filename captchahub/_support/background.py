"""Tasks of an event loop that go on after the call that started them: late answers, reports, price lists."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from captchahub._support.log import log

T = TypeVar("T")


class BackgroundTasks:
    """Keeps tasks until they are done, or until their owner is closed.

    asyncio itself has only weak references to tasks, so one that is not kept can disappear.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._brief: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a brief task, such as one call of a service. Closing waits a moment for it."""
        task = asyncio.ensure_future(work)
        self.track(task)
        self._brief.add(task)
        task.add_done_callback(self._brief.discard)
        return task

    def track(self, task: asyncio.Task[Any]) -> None:
        """Keep a task that was started elsewhere. It is cancelled at closing."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Callers handle the errors that they expect inside the task; this is a bug.
            log.error("a background task failed", exc_info=error)

    async def aclose(self, patience: float) -> None:
        """Cancel all but brief tasks, wait up to ``patience`` seconds for these, and cancel the rest."""
        # In a loop, because a cancelled task can start another one, such as to record the state of its job.
        while lasting := self._tasks - self._brief:
            await cancel_all(lasting)
        if self._brief:
            await asyncio.wait(self._brief, timeout=patience)
        while self._tasks:
            await cancel_all(self._tasks)


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait until they have ended."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending)
