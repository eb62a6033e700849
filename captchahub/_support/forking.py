"""Resources of one process: a forked child has copies, and must not use them as its own."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

Process = tuple[int, int]
"""Identifies a process, as :func:`process` returns it."""


class Forked(Protocol):
    """A resource that has to be closed while the process forks."""

    def before_fork(self) -> None:
        """Close it, and open nothing until the fork is over."""

    def after_fork(self, *, is_child: bool) -> None:
        """Open it again if needed."""


no_fork = threading.Lock()
"""Held while something is opened that is not watched yet, and while :func:`watch` is called."""

_watched: weakref.WeakSet[Forked] = weakref.WeakSet()

_ready: list[Forked] = []

_kept: list[object] = []

_forks = 0


def process() -> Process:
    """Return what distinguishes this process from its parents and children.

    A process id alone does not: the system uses it again after the process has ended.
    """
    return os.getpid(), _forks


def refuse_elsewhere(home: Process, what: str) -> None:
    """Raise RuntimeError in every process but one, because waiting there would never end."""
    if process() != home:
        raise RuntimeError(f"{what} belongs to the process that created it, and this is a forked child")


def keep(inherited: object) -> None:
    """Keep a copy of a parent's object for the life of this process, so that it is never destroyed.

    For instance, closing the copy of an event loop would remove the parent's file descriptors from the epoll
    object that both processes share.
    """
    _kept.append(inherited)


def watch(one: Forked) -> None:
    """Call its before_fork and after_fork at each fork, while it exists. The caller holds ``no_fork``."""
    _watched.add(one)


def _before() -> None:
    # Held until the fork is over: the resources of two threads that fork at once must not interleave.
    no_fork.acquire()
    for one in list(_watched):
        one.before_fork()
        _ready.append(one)


def _after(*, is_child: bool) -> None:
    global _forks  # noqa: PLW0603 - it counts for the process
    if is_child:
        _forks += 1
    while _ready:
        _ready.pop().after_fork(is_child=is_child)
    no_fork.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(is_child=False),
        after_in_child=lambda: _after(is_child=True),
    )
