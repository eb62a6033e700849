"""Who works with something, so that it can be let go of after the last of them."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["Usage"]


class Usage:
    """Counts users, in one event loop."""

    def __init__(self) -> None:
        self._users = 0
        self._leaving: asyncio.Event | None = None

    @contextmanager
    def by_one(self) -> Generator[None]:
        """Work with it as long as this lasts."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._leaving is not None:
                self._leaving.set()

    async def ended(self) -> None:
        """Wait until nobody works with it."""
        while self._users:
            self._leaving = asyncio.Event()
            await self._leaving.wait()
