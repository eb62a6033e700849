"""The callbacks of a hub that the program itself registered: functions that receive events of one class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import attrs

from captchahub.events import Event

E = TypeVar("E", bound=Event)


@attrs.define(eq=False)
class Registration:
    """A callback, and the class of the events that it receives."""

    event_class: type[Event]
    callback: Callable[[Any], object]
    has_failed: bool = False
    """Whether it has raised an error, which was logged."""

    @property
    def name(self) -> str:
        """What the log calls it. The repr of a callable object could contain anything, so it is not used."""
        return str(getattr(self.callback, "__qualname__", type(self.callback).__name__))


class Callbacks:
    """The registered callbacks of one hub. All methods may be called from any thread.

    They belong to the hub and not to an engine, so a reload does not change them, and the engine of a forked
    child starts with a copy of them.
    """

    def __init__(self) -> None:
        # The keys keep the order. There is no lock, because a child that was forked while another thread held
        # it would wait forever: setting a key, removing it and copying the keys are one step each.
        self.registered: dict[Registration, None] = {}
        """The callbacks, in the order of their registration."""

    def add(self, event_class: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
        """Register a callback, and return a function that removes it.

        Raises TypeError if the first argument is not a class of events, or the second cannot be called or is
        a coroutine function.
        """
        # Callers need not use a type checker.
        if not (isinstance(event_class, type) and issubclass(event_class, Event)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                "on() takes a class of captchahub.events first, such as events.Solved, "
                f"not {event_class!r:.60}"
            )
        if not callable(callback):
            found = type(callback).__name__
            raise TypeError(
                f"on() takes a function that receives the event, not {found}: hub.on(Solved, print)"
            )
        if any(map(inspect.iscoroutinefunction, (callback, getattr(callback, "__call__", None)))):  # noqa: B004 - whether it is asynchronous, not whether it exists
            raise TypeError(
                "on() takes an ordinary function, because callbacks run in a thread without an event loop; "
                "call loop.call_soon_threadsafe() in it to continue in a loop"
            )
        registration = Registration(event_class, callback)
        self.registered[registration] = None
        return partial(self._remove, registration)

    def _remove(self, registration: Registration) -> None:
        self.registered.pop(registration, None)

    def of(self, event: Event) -> Iterator[Registration]:
        """Yield the callbacks that receive an event, in the order of their registration."""
        for one in tuple(self.registered):
            # Again, because the callback before may have removed it.
            if one in self.registered and isinstance(event, one.event_class):
                yield one
