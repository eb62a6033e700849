"""Work that outlives the solve it came from: harvested jobs, reports of wrong answers, price lists."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from captchahub._support.log import log

__all__ = ["BackgroundTasks", "cancel_all"]

T = TypeVar("T")


class BackgroundTasks:
    """Keeps such work until it is done, or until the hub is closed."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()
        self._brief: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start work of a single call, which closing the hub waits for a moment."""
        task = asyncio.ensure_future(work)
        self.track(task)
        self._brief.add(task)
        task.add_done_callback(self._brief.discard)
        return task

    def track(self, task: asyncio.Task[Any]) -> None:
        """Go on with what a solve has begun."""
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Who adopts or begins something sees to its errors; this one was not thought of.
            log.error("work in the background failed", exc_info=error)

    async def aclose(self, patience: float) -> None:
        """End what lasts, wait ``patience`` seconds for what is brief, and end the rest."""
        # What is ended may begin something: a harvest, or to write down in what state it leaves its job.
        while lasting := self._under_way - self._brief:
            await cancel_all(lasting)
        if self._brief:
            await asyncio.wait(self._brief, timeout=patience)
        while self._under_way:
            await cancel_all(self._under_way)


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait until they are over."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending)
