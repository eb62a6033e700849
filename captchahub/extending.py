"""The values that hooks exchange with the engine, besides tasks, solutions and events."""

from __future__ import annotations

from decimal import Decimal

import attrs

from captchahub.frames import WHOLE, Frame
from captchahub.results import ProviderState
from captchahub.tasks import Solution, Task

__all__ = ["Candidate", "Prepared"]


@attrs.frozen
class Prepared:
    """A task as one provider will receive it.

    ``frame`` is where its picture lies in the picture of the original task. It is stored in the journal, so
    that a process that collects the job later can also map the coordinates of the answer back.
    """

    task: Task[Solution]
    frame: Frame = WHOLE


@attrs.frozen
class Candidate:
    """A provider that can solve a task, and what is known about it.

    ``plugin`` is the name of its kind. ``price`` is what a job costs there, in the provider's currency.
    ``seconds`` is the recent time per answer, including the time lost to failures; it is infinite if nothing
    but failures came. Both are None if unknown.
    """

    name: str
    plugin: str
    price: Decimal | None = None
    seconds: float | None = None
    state: ProviderState = ProviderState.HEALTHY
