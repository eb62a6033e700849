"""Finds out whether a blocking call would hold up the event loop of its own thread."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Collection, Iterator
from types import CodeType, FrameType
from typing import Any

_COROUTINES = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

# The code that runs a loop. A loop in another language (uvloop) has no frame, but asyncio.Runner has one.
_LOOP_CODES: Collection[CodeType] = (asyncio.BaseEventLoop.run_forever.__code__, asyncio.Runner.run.__code__)


def blocks_a_loop() -> bool:
    """Return whether a coroutine or callback of an event loop in this thread has called the caller.

    A loop can run and not wait for the caller: Playwright's synchronous API keeps one in another greenlet,
    which continues when Playwright is called again.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    codes = (frame.f_code for frame in _callers())
    return any(code in _LOOP_CODES or code.co_flags & _COROUTINES for code in codes)


def _callers() -> Iterator[FrameType]:
    """Yield the frames that wait for the caller, also those in its parent greenlets."""
    frame = inspect.currentframe()
    # Only if the program has imported it: without that package there are no greenlets.
    package = sys.modules.get("greenlet")
    greenlet: Any = None if package is None else package.getcurrent()
    while frame is not None:
        while frame is not None:
            yield frame
            frame = frame.f_back
        greenlet = getattr(greenlet, "parent", None)
        frame = getattr(greenlet, "gr_frame", None)
