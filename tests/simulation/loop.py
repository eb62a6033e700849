"""One event loop for several processes. Each step belongs to a process, and their order is reproducible."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Protocol, TypeVarTuple, Unpack

from captchahub.testing import VirtualClockLoop

__all__ = ["NO_OWNER", "OWNER", "Owner", "SimulationLoop"]

Ts = TypeVarTuple("Ts")


class Owner(Protocol):
    """A process as the loop sees it."""

    tasks: list[asyncio.Task[Any]]
    """All tasks that it began."""
    held: list[Callable[[], object]]
    """What it does after its stall."""
    is_stalled: bool

    def step(self) -> None:
        """Record that one of its tasks is about to continue."""
        ...


OWNER: ContextVar[Owner | None] = ContextVar("OWNER", default=None)
"""The process that is running."""

NO_OWNER = Context()
"""The context of what happens outside of all processes."""


class SimulationLoop(VirtualClockLoop):
    """A virtual clock's loop in which processes can stop, and each await can be counted."""

    def __init__(self) -> None:
        self.steps = 0
        """The number of steps of all processes."""
        self._serials = itertools.count()
        super().__init__()
        self.set_task_factory(self._new_task)

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule a callback; that of a stalled process waits for the end of the stall."""
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is None:
            return super().call_soon(callback, *args, context=context)
        self.steps += 1
        owner.step()
        if not owner.is_stalled:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)

        def go_on() -> None:
            if not handle.cancelled():
                self.call_soon(callback, *args, context=context)

        owner.held.append(go_on)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future with a serial number."""
        return _Future(next(self._serials), self)

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, work: Any, context: Context | None = None
    ) -> asyncio.Task[Any]:
        owner = OWNER.get() if context is None else context.get(OWNER)
        task = _Task(next(self._serials), work, loop, context)
        if owner is not None:
            owner.tasks.append(task)
        return task


# Sets of tasks are iterated in the order of their hashes. Hashes by address differ from run to run, so that
# no seed could be replayed.
class _Future(asyncio.Future[Any]):
    def __init__(self, serial: int, loop: asyncio.AbstractEventLoop) -> None:
        self._serial = serial
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._serial


class _Task(asyncio.Task[Any]):
    def __init__(
        self, serial: int, work: Any, loop: asyncio.AbstractEventLoop, context: Context | None
    ) -> None:
        self._serial = serial
        super().__init__(work, loop=loop, context=context)

    def __hash__(self) -> int:
        return self._serial
