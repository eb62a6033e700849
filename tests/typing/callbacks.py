"""What type checkers make of ``hub.on``: read by mypy and pyright, both strict, and never run."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import assert_type

from captchahub import AsyncHub, Hub, Result, Solution, events
from captchahub.events import Event, Solved, SolveEvent


def the_argument_of_a_callback_is_of_the_class(hub: Hub) -> None:
    hub.on(events.Solved, lambda event: assert_type(event.result, Result[Solution]))
    hub.on(events.JobCreated, lambda event: assert_type(event.price, Decimal | None))
    hub.on(events.CooledDown, lambda event: assert_type(event.provider, str))
    hub.on(Event, lambda event: assert_type(event.at, float))


def it_can_be_a_base_class(hub: Hub) -> None:
    def note(event: SolveEvent) -> None: ...

    hub.on(events.Solved, note)
    hub.on(events.Solved, print)


def the_function_that_removes_it_takes_nothing(hub: Hub, other: AsyncHub) -> None:
    solved: list[Solved] = []
    remove = hub.on(events.Solved, solved.append)
    assert_type(remove, Callable[[], None])
    assert_type(other.on(events.Solved, solved.append), Callable[[], None])
