"""One hub's being alive, as its journal knows it: before it has a job there, and for as long as it lives."""

from __future__ import annotations

import asyncio
import math
import os
import sqlite3
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import TypeVar

from captchahub._journal import owners_table as owners
from captchahub._journal.accounts_table import NOBODYS, OwnAccounts
from captchahub._journal.writer import Writer
from captchahub._support.forking import no_fork, watch
from captchahub._support.log import log
from captchahub.errors import CaptchaHubError

__all__ = ["Heartbeat", "ProcessLock"]

T = TypeVar("T")

# A hub that says nothing for so long is taken for dead, in seconds; it says something three times as often.
_LEASE = 60.0

# How many old jobs are forgotten at once.
_AT_ONCE = 1000

# How often old jobs are looked for, in seconds.
_PRUNING = 3600.0


class Heartbeat:
    """Says that a hub is alive, and knows which of the others are dead.

    ``clock`` is the wall clock, in seconds since 1970; ``is_alone`` where no other hub can see the journal;
    ``presence`` tells which hubs are surely dead before their time is over; ``meanwhile`` is done each time
    that the hub says it is alive.
    """

    def __init__(
        self,
        journal: Writer,
        clock: Callable[[], float],
        presence: ProcessLock,
        meanwhile: Callable[[], Awaitable[None]],
        prune: Callable[..., int],
        *,
        is_alone: bool,
    ) -> None:
        self.owner = uuid.uuid4().hex
        """What this hub is called in the journal."""
        self.keep = math.inf
        """How long jobs that have ended are kept, in seconds."""
        self.own: Callable[[sqlite3.Connection], OwnAccounts] = lambda _: NOBODYS
        """The accounts whose jobs are kept for so long."""
        self._journal = journal
        self._clock = clock
        self._presence = presence
        self._meanwhile = meanwhile
        self._prune = prune
        self._seconds = math.inf if is_alone else _LEASE
        self._pruned = -math.inf
        self._alive: asyncio.Task[None] | None = None

    async def write(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        """What a work at this moment gives, of a hub that is known to be alive from here on."""
        moment = self._clock()
        # Not in the transaction: a fork waits for that, and this for the fork.
        self._presence.hold(self.owner)
        if self._alive is None and math.isfinite(self._seconds):
            # In a context of its own, for it outlives the solve that begins it.
            self._alive = asyncio.get_running_loop().create_task(self._beat_for_ever(), context=Context())

        def signed_on(connection: sqlite3.Connection) -> T:
            self._sign_on(connection, moment)
            return work(connection, moment)

        return await self._journal.write(signed_on)

    def is_gone(self, owner: str | None) -> bool:
        """Whether another hub is surely dead, whatever its time in the journal."""
        return owner is not None and self._presence.is_gone(owner)

    def bury(self, connection: sqlite3.Connection, moment: float) -> None:
        """Note which other hubs are dead, and what they were about to send as ambiguous."""
        for owner in owners.owners(connection):
            if self._presence.is_gone(owner):
                owners.sign_off(connection, owner)
        owners.expire_dead_owners(connection, moment)

    def _sign_on(self, connection: sqlite3.Connection, moment: float) -> None:
        """Say that this hub is alive, before anything of it is in the journal; and tidy up, now and then."""
        owners.heartbeat(connection, self.owner, moment + self._seconds)
        if moment - self._pruned < _PRUNING:
            return
        # Not all at once, for others wait; the rest goes with the next order.
        own = self.own(connection)
        if self._prune(connection, moment - self.keep, limit=_AT_ONCE, own=own) < _AT_ONCE:
            self._pruned = moment

    async def _beat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                await self._journal.write(partial(self._sign_on, moment=self._clock()))
            except CaptchaHubError as error:
                log.warning("this hub could not say in its journal that it is alive: %s", error)
            await self._meanwhile()

    async def end(self) -> None:
        """Leave what is open to others."""
        if self._alive is None:
            return
        self._alive.cancel()
        await asyncio.wait([self._alive])
        await self._meanwhile()
        try:
            await self._journal.write(partial(owners.sign_off, owner=self.owner))
        except CaptchaHubError as error:
            log.warning("this hub could not sign off in its journal: %s", error)

    def leave(self) -> None:
        """Be there no more, once the journal is closed."""
        self._presence.leave(self.owner)


if sys.platform != "win32":
    import fcntl


class ProcessLock:
    """The files of the owners beside one journal; there are none where it is None, as for one in memory."""

    def __init__(self, journal: Path | None) -> None:
        # Whatever the folder is that the program works in later.
        self._journal = None if journal is None else journal.absolute()
        self._held: dict[str, int] = {}
        self._gone: set[str] = set()
        with no_fork:
            watch(self)

    def hold(self, owner: str) -> None:
        """Be there in the name of an owner, until :meth:`leave` or the end of the process."""
        if owner in self._held or self._journal is None or sys.platform == "win32":
            return
        path = _file(self._journal, owner)
        # A child that had the file as well would be taken for its parent.
        with no_fork:
            try:
                opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:
                return
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(opened)
                _remove(path)
                return
            self._held[owner] = opened

    def leave(self, owner: str) -> None:
        """Be there no more."""
        # A child must find the file either held or closed.
        with no_fork:
            opened = self._held.pop(owner, None)
            if opened is not None and self._journal is not None:
                _remove(_file(self._journal, owner))
                os.close(opened)

    def is_gone(self, owner: str) -> bool:
        """Whether an owner is surely not there any more; its file is removed then."""
        if owner in self._gone:
            return True
        if self._journal is None or sys.platform == "win32" or owner in self._held:
            return False
        path = _file(self._journal, owner)
        try:
            opened = os.open(path, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            _remove(path)
            self._gone.add(owner)
            return True
        finally:
            os.close(opened)

    def before_fork(self) -> None:
        """See :class:`captchahub._support.forking.Forked`."""

    def after_fork(self, *, is_child: bool) -> None:
        """See :class:`captchahub._support.forking.Forked`."""
        if is_child:
            # Its copies alone: the parent keeps its locks.
            while self._held:
                os.close(self._held.popitem()[1])


def _file(journal: Path, owner: str) -> Path:
    return journal.with_name(f"{journal.name}-{owner}")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
