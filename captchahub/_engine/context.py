"""What the parts of a solve share: facts about the solve and its task, and the services of the hub."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import attrs

from captchahub._engine.solve_events import SolveEvents
from captchahub._journal.journal import JobRow, Journal
from captchahub._support.background import BackgroundTasks
from captchahub.errors import Attempt
from captchahub.provider import Solved
from captchahub.tasks import OptionValue, Solution, Task
from captchahub.tickets import Progress

if TYPE_CHECKING:
    # Only types of fields: these classes carry values, and know nothing of the modules that made them.
    from captchahub._plugins.hooks import Hooks
    from captchahub._plugins.preparation import TaskPreparer
    from captchahub._providers.account import Account
    from captchahub._providers.admission import ChangeSignal

__all__ = ["AttemptContext", "AttemptOutcome", "EngineServices", "SolveInfo", "UndeliveredAnswers"]


@attrs.frozen
class EngineServices:
    """What the solves of one hub share. ``chance`` returns random numbers from 0 to 1."""

    journal: Journal
    hooks: Hooks
    preparer: TaskPreparer
    background: BackgroundTasks
    changes: ChangeSignal
    chance: Callable[[], float]


class UndeliveredAnswers:
    """The answers of one solve that came too late for their attempts.

    Once the solve has an answer, the others are marked as delivered: nobody waits for them. If it ends
    without one, they stay for :meth:`captchahub.hub.Hub.resume`.
    """

    def __init__(self) -> None:
        self._rows: list[JobRow] = []
        self._held: list[JobRow] = []
        self._has_answer = False

    def add(self, row: JobRow, *, is_held: bool = False) -> None:
        """Add an answer; ``is_held`` if the solve looks at it, so that no other hub may take it meanwhile."""
        if self._has_answer:
            row.mark_delivered()
            return
        self._rows.append(row)
        if is_held:
            self._held.append(row)

    def answered(self) -> None:
        """Mark all as delivered, because the solve has its answer."""
        self._has_answer = True
        self._held.clear()
        while self._rows:
            self._rows.pop().mark_delivered()

    @property
    def is_holding(self) -> bool:
        """Whether the solve has looked at some."""
        return bool(self._held)

    async def release(self) -> None:
        """Leave to other hubs the answers that a solve without an answer has looked at."""
        while self._held:
            await self._held.pop().release()


@attrs.frozen(eq=False)
class SolveInfo:
    """One solve, as its attempts know it. ``begun`` is wall clock time, in seconds since 1970."""

    id: str
    begun: float
    is_shared: bool
    fingerprint: str
    options: Mapping[str, OptionValue]
    """The task's own; computed once, because both take a walk over its fields."""
    events: SolveEvents
    progress: Progress
    """Receives the token of the latest job."""
    undelivered: UndeliveredAnswers = attrs.field(factory=UndeliveredAnswers)


@attrs.frozen(eq=False)
class AttemptContext:
    """What one attempt works with."""

    account: Account
    task: Task[Solution]
    solve: SolveInfo
    services: EngineServices


@attrs.frozen
class AttemptOutcome:
    """How an attempt ended: ``solved`` is the checked answer, or None if ``attempt`` has an error.

    ``sent`` names the task's options that reached the service.
    """

    account: Account
    attempt: Attempt
    solved: Solved | None = None
    sent: Collection[str] = ()
    is_shared: bool = False
