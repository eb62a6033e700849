"""What hooks and the core exchange, beyond the task, its solution, and the events."""

from __future__ import annotations

from decimal import Decimal

import attrs

from captchahub.frames import WHOLE, Frame
from captchahub.results import ProviderState
from captchahub.tasks import Solution, Task

__all__ = ["Candidate", "Prepared"]


@attrs.frozen
class Prepared:
    """A task as one provider is to get it.

    ``frame`` is where its picture lies in that of the task it was made of, so that an answer with places in
    it can be mapped back, also by a process that collects the job later.
    """

    task: Task[Solution]
    frame: Frame = WHOLE


@attrs.frozen
class Candidate:
    """A provider that can be asked for a task, and what is known of it.

    ``plugin`` is the name of its kind. ``price`` is what a job costs there, and ``seconds`` what an answer
    takes, failures counted; None where not known.
    """

    name: str
    plugin: str
    price: Decimal | None = None
    seconds: float | None = None
    state: ProviderState = ProviderState.HEALTHY
