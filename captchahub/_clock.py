"""The time that the engine lives by."""

from __future__ import annotations

import asyncio

__all__ = ["now"]


def now() -> float:
    """The running event loop's time, in seconds."""
    return asyncio.get_running_loop().time()
