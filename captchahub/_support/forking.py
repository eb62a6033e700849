"""What belongs to one process: a forked child has copies of it, and must not take them for its own."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["Forked", "Process", "keep", "no_fork", "process", "refuse_elsewhere", "watch"]

Process = tuple[int, int]
"""One process, as :func:`process` tells it from others."""


class Forked(Protocol):
    """Something that lets go of what a fork must not copy."""

    def before_fork(self) -> None:
        """Let go of it, and begin nothing until the fork is over."""
        ...

    def after_fork(self, *, is_child: bool) -> None:
        """Go on."""
        ...


no_fork = threading.Lock()
"""Held while something is opened that is not watched yet, and while :func:`watch` is called."""

_watched: weakref.WeakSet[Forked] = weakref.WeakSet()

_ready: list[Forked] = []

_kept: list[object] = []

_forks = 0


def process() -> Process:
    """What tells this process from its parents and its children, also where a process id comes back."""
    return os.getpid(), _forks


def refuse_elsewhere(home: Process, what: str) -> None:
    """Raise RuntimeError in every process but one, for whatever would wait there for ever."""
    if process() != home:
        raise RuntimeError(f"{what} belongs to the process that began it, and this is a forked child of that")


def keep(inherited: object) -> None:
    """Keep what a parent has left for as long as this process lives, and never use it.

    To destroy a copy of a loop, for one, would take the parent's wake-ups out of the selector they share.
    """
    _kept.append(inherited)


def watch(one: Forked) -> None:
    """Call its before_fork and after_fork at each fork, while it exists. The caller holds ``no_fork``."""
    _watched.add(one)


def _before() -> None:
    # Until the fork is over, so that two threads that fork do not wait for each other.
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
