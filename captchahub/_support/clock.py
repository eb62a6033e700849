"""The time that the library lives by, which no test of a user's program stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

__all__ = ["now", "steady"]


def now() -> float:
    """The running event loop's time, in seconds."""
    return asyncio.get_running_loop().time()


def _steady() -> Callable[[], float]:
    # What stops time, such as freezegun, puts another function in place of time.monotonic wherever a module
    # has it. This one is not replaced, and a partial is not seen.
    if hasattr(time, "clock_gettime"):
        return partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    return partial(time.monotonic)


steady = _steady()
"""A clock that only goes on, in seconds."""
