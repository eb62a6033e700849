"""A value that forked processes cannot share, such as the engine of a hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from captchahub._support.forking import keep, process

__all__ = ["PerProcess"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value that each process makes for itself: a forked child makes its own when it first needs one.

    An engine has an owner id in the journal, locks, connections and threads, and all of them belong to one
    process. So a child leaves its parent's engine alone, whether or not that was used. Raises what ``make``
    raises: here for the first value, and in a child from :meth:`get`.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self.make = make
        """Makes the values of later children."""
        self._process = process()
        self._value: T | None = make()

    @property
    def made(self) -> T | None:
        """This process's value, or None in a child that has not needed one so far."""
        if self._process != process():
            keep(self._value)
            self._process, self._value = process(), None
        return self._value

    def get(self) -> T:
        """Return this process's value."""
        value = self.made
        if value is None:
            # Not right after the fork, where an error could be raised to no caller.
            value = self._value = self.make()
        return value
