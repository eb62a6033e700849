"""A hub that a program makes before it forks, and what a forked child uses in its place.

No process forks here. A child gets a copy of the hub's engine, as a fork makes one, and the hub's own code
decides what becomes of it.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from captchahub._engine.engine import Engine, ProcessEngine
from captchahub._support import forking as _forking

__all__ = ["Inherited"]

# pyright: reportPrivateUsage=false
# A hub has no other way to be used in a loop that is not its own.


class Inherited:
    """A hub that was made before a fork, as Hub and AsyncHub have it inside."""

    def __init__(self, engine: Engine) -> None:
        self._own = ProcessEngine.__new__(ProcessEngine)
        self._own._process, self._own._engine = _forking.process(), engine

    def in_child(self) -> Engine | None:
        """Return the copy of its parent's engine that a child uses, or None if it makes its own."""
        copied = copy.copy(self._own)
        with _forked():
            return copied.made


@contextmanager
def _forked() -> Generator[None]:
    """Make the library believe that it runs in a child."""
    counted = cast("Any", _forking)
    counted._forks += 1
    try:
        yield
    finally:
        counted._forks -= 1
        counted._kept.clear()
