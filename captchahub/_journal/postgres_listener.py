"""Learns from PostgreSQL at once that a job of another hub has ended, by LISTEN and NOTIFY.

The database sends the notifications: see the trigger in :mod:`captchahub._journal.postgres_schema`. The
connection that receives them exists only while a solve waits for an equal task of another hub. Without it,
such a solve looks into the journal now and then, and finds the same a little later. So no failure here is an
error.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import closing, suppress
from selectors import EVENT_READ, DefaultSelector

import psycopg
from psycopg import sql

from captchahub._journal.watchers import Watchers
from captchahub._support.clock import steady
from captchahub._support.forking import no_fork, watch

# A solve that waits looks into the journal, and needs the connection, every ten seconds at least.
_KEPT_FOR = 30.0

# A server that refuses connections, or ends them at once, is spared more of them.
_PAUSE = 5.0

# How long closing waits for the thread, in seconds: as long as it may be connecting.
_CLOSE_TIMEOUT = 5.0


class PostgresListener:
    """See :class:`captchahub._journal.database.Listener`.

    One thread connects to the server at ``address``, a connection string of the client library, and waits
    there. ``schema`` is that of the journal. ``kept_for`` is how long the connection is kept after it was
    last needed, and ``pause`` the shortest time from one attempt to connect to the next, in seconds.
    """

    def __init__(
        self,
        address: str,
        schema: str,
        watchers: Watchers,
        *,
        kept_for: float = _KEPT_FOR,
        pause: float = _PAUSE,
    ) -> None:
        self._address = address
        self._watchers = watchers
        self._kept_for = kept_for
        self._pause = pause
        self._listen = sql.SQL("LISTEN {}").format(sql.Identifier(schema))
        # Of the thread and its end: a fork may come from another thread.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wanted_until = 0.0
        self._is_closed = False
        with no_fork:
            watch(self)

    def listen(self) -> None:
        """See :meth:`captchahub._journal.database.Listener.listen`."""
        self._wanted_until = steady() + self._kept_for
        # The system may have no more sockets or threads.
        with self._lock, suppress(OSError, RuntimeError):
            if not self._is_closed and (self._thread is None or not self._thread.is_alive()):
                self._start(asyncio.get_running_loop())

    def close(self) -> None:
        """See :meth:`captchahub._journal.database.Listener.close`."""
        with self._lock:
            self._is_closed = True
            self._end()

    def before_fork(self) -> None:
        """See :class:`captchahub._support.forking.Forked`."""
        self._lock.acquire()
        self._end()

    def after_fork(self, *, is_child: bool) -> None:
        """See :class:`captchahub._support.forking.Forked`."""
        with suppress(OSError, RuntimeError):
            if not is_child and not self._is_closed and self._loop is not None and self._is_wanted:
                self._start(self._loop)
        self._lock.release()

    @property
    def _is_wanted(self) -> bool:
        return steady() < self._wanted_until

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        stop, stopped = socket.socketpair()
        thread = threading.Thread(
            target=self._run, args=(loop, stop, stopped), name="captchahub listener", daemon=True
        )
        try:
            thread.start()
        except BaseException:
            stop.close()
            stopped.close()
            raise
        self._loop, self._thread, self._stop = loop, thread, stop

    def _end(self) -> None:
        if self._thread is not None and self._stop is not None:
            # The thread closes it, and may have ended by itself.
            with suppress(OSError):
                self._stop.shutdown(socket.SHUT_RDWR)
            self._thread.join(_CLOSE_TIMEOUT)
        self._thread = self._stop = None

    def _run(self, loop: asyncio.AbstractEventLoop, stop: socket.socket, stopped: socket.socket) -> None:
        """Listen until it is stopped or not wanted any more; after a failure again."""
        # A loop that is closed raises RuntimeError, and nothing waits in it any more. OSError means that the
        # system has no more descriptors.
        with suppress(OSError, RuntimeError), stop, stopped, DefaultSelector() as selector:
            selector.register(stopped, EVENT_READ)
            while self._is_wanted:
                may_connect_from = steady() + self._pause
                with suppress(psycopg.Error):
                    self._report(loop, stopped)
                if selector.select(max(0.0, may_connect_from - steady())):
                    return

    def _report(self, loop: asyncio.AbstractEventLoop, stopped: socket.socket) -> None:
        """Report notifications until it is stopped or not wanted any more."""
        connection = psycopg.connect(self._address, autocommit=True)
        with closing(connection), DefaultSelector() as selector:
            connection.execute(self._listen)
            # What has ended before that was not notified.
            loop.call_soon_threadsafe(self._watchers.look, None)
            selector.register(stopped, EVENT_READ)
            selector.register(connection, EVENT_READ)
            while self._is_wanted:
                ready = selector.select(max(0.0, self._wanted_until - steady()))
                if any(key.fileobj is stopped for key, _ in ready):
                    return
                for notification in connection.notifies(timeout=0):
                    if notification.payload in self._watchers.fingerprints:
                        loop.call_soon_threadsafe(self._watchers.look, notification.payload)
