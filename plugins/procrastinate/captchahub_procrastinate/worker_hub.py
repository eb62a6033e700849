"""The one hub of a worker process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from captchahub import AsyncHub

__all__ = ["WorkerHub"]


class WorkerHub:
    """A hub that is opened when it is first needed, and closed when its event loop ends."""

    def __init__(self, configuration: str | os.PathLike[str], plugins: Sequence[object]) -> None:
        self._configuration = configuration
        self._plugins = plugins
        self._hub: AsyncHub | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Task[None] | None = None

    def get(self) -> AsyncHub:
        """Return the hub of the running loop. Raises ConfigError if the configuration is wrong."""
        loop = asyncio.get_running_loop()
        if self._hub is None or self._loop is not loop:
            hub = AsyncHub.from_yaml(self._configuration, plugins=self._plugins)
            self._hub, self._loop = hub, loop
            self._closing = loop.create_task(_close_at_the_end(hub), name="captchahub_procrastinate")
        return self._hub

    async def close(self) -> None:
        """Close the hub, if there is one. Solves that run end with HubClosed."""
        closing, self._closing = self._closing, None
        self._hub = None
        if closing is not None and not closing.done():
            closing.cancel()
            await asyncio.wait([closing])


async def _close_at_the_end(hub: AsyncHub) -> None:
    # Procrastinate has no hook for the end of a worker. But asyncio.run() cancels the tasks that are left,
    # and waits for them.
    try:
        await asyncio.Event().wait()
    finally:
        await hub.close()
