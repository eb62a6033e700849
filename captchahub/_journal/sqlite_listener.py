"""Learns soon that a job of another hub has ended, from the file that SQLite keeps.

SQLite sends no notifications, but it counts the commits of other connections. Reading this counter takes
microseconds and waits for no lock. It is read only while a solve of this hub waits for an equal task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial

from captchahub._journal.database import Connection
from captchahub._journal.watchers import Watchers
from captchahub._journal.writer import Writer
from captchahub.errors import CaptchaHubError

# From one read of the counter to the next, in seconds. An answer comes half of that later, on average.
_INTERVAL = 0.05


class SqliteListener:
    """See :class:`captchahub._journal.database.Listener`. ``writer`` is that of the file."""

    def __init__(self, writer: Writer, watchers: Watchers) -> None:
        self._writer = writer
        self._watchers = watchers
        self._listening: asyncio.Task[None] | None = None
        self._commits: int | None = None
        """How many commits of others there were when the counter was last read."""
        self._open: Mapping[str, Sequence[int]] = {}
        """The open jobs then, by the fingerprints of their tasks."""

    def listen(self) -> None:
        """See :meth:`captchahub._journal.database.Listener.listen`."""
        if self._listening is None or self._listening.done():
            # In a context of its own, because it outlives the solve that begins it.
            self._listening = asyncio.get_running_loop().create_task(self._listen(), context=Context())

    def close(self) -> None:
        """See :meth:`captchahub._journal.database.Listener.close`."""
        if self._listening is not None:
            # In a loop that is closed, nothing listens any more.
            with suppress(RuntimeError):
                self._listening.get_loop().call_soon_threadsafe(self._listening.cancel)

    async def _listen(self) -> None:
        # Each solve that waits looks by itself now and then, and reports what is wrong with the file.
        with suppress(CaptchaHubError):
            while True:
                # First, because a solve lets this listen before it begins to watch.
                await asyncio.sleep(_INTERVAL)
                if not self._watchers.fingerprints:
                    return
                watched = [*self._watchers.fingerprints]
                for fingerprint in await self._writer.read(partial(self._changed, watched=watched)):
                    self._watchers.look(fingerprint)

    def _changed(self, connection: Connection, watched: Sequence[str]) -> Sequence[str]:
        """Return the fingerprints whose open jobs are others than before, or of which none is open."""
        (commits,) = connection.execute("PRAGMA data_version").fetchone()
        before = self._open
        if commits == self._commits and before.keys() >= {*watched}:
            return ()
        self._commits = commits
        self._open = {one: _open_jobs(connection, one) for one in watched}
        return [one for one, jobs in self._open.items() if jobs != before.get(one, jobs or None)]


def _open_jobs(connection: Connection, fingerprint: str) -> list[int]:
    """Return the ids of the shared jobs for equal tasks that a hub works on, as far as is written."""
    found = connection.execute(
        """
        SELECT id FROM jobs WHERE is_shared = 1 AND fingerprint = :fingerprint
            AND state IN ('intent', 'created') AND EXISTS (SELECT 1 FROM owners WHERE owners.id = owner)
        """,
        {"fingerprint": fingerprint},
    )
    return [row[0] for row in found]
