"""Which core each process runs on."""

from __future__ import annotations

import os
import sys


def two_cores() -> tuple[int | None, int | None]:
    """Return a core for the server and another for the client, or None where that can't be had."""
    if sys.platform != "linux":
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def pin(core: int | None, process: int = 0) -> None:
    """Keep a process, this one by default, on a core with all the threads that it starts from now on."""
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(process, {core})
