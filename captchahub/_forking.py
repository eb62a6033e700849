"""What must not be open while the process forks: a child would take what is its parent's for its own."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["Forked", "no_fork", "watch"]


class Forked(Protocol):
    """Something that lets go of what a fork must not copy."""

    def before_fork(self) -> None:
        """Let go of it, and begin nothing until the fork is over."""
        ...

    def after_fork(self, *, is_child: bool) -> None:
        """Go on."""
        ...


no_fork = threading.Lock()
"""Held while something is opened that is not watched yet."""
_watched: weakref.WeakSet[Forked] = weakref.WeakSet()
_ready: list[Forked] = []


def watch(one: Forked) -> None:
    """Have it told of every fork from now on, for as long as it is used."""
    _watched.add(one)


def _before() -> None:
    # Until the fork is over, so that two threads that fork do not wait for each other.
    no_fork.acquire()
    for one in list(_watched):
        one.before_fork()
        _ready.append(one)


def _after(*, is_child: bool) -> None:
    while _ready:
        _ready.pop().after_fork(is_child=is_child)
    no_fork.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(is_child=False),
        after_in_child=lambda: _after(is_child=True),
    )
