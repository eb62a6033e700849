"""The clock of the library, which a user's tests cannot stop with freezegun and the like."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial


def now() -> float:
    """Return the running event loop's time, in seconds."""
    return asyncio.get_running_loop().time()


# freezegun replaces time.monotonic in every module that has imported it. It does not replace clock_gettime,
# which Windows lacks, and does not look into a partial.
steady: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if hasattr(time, "clock_gettime")
    else partial(time.monotonic)
)
"""A monotonic clock, in seconds."""
