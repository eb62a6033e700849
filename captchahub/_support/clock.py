"""The clock of the library, which a user's tests cannot stop with freezegun and the like."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

__all__ = ["now", "steady"]


def now() -> float:
    """Return the running event loop's time, in seconds."""
    return asyncio.get_running_loop().time()


def _steady() -> Callable[[], float]:
    # freezegun replaces time.monotonic in every module that has imported it. It does not replace
    # clock_gettime, and does not look into a partial.
    if hasattr(time, "clock_gettime"):
        return partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    return partial(time.monotonic)


steady = _steady()
"""A monotonic clock, in seconds."""
