"""What the parts of a solve share: facts about the solve and its task, and the services of the hub."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from captchahub._engine.late_answers import UndeliveredAnswers
from captchahub._engine.solve_events import SolveEvents
from captchahub._support.background import BackgroundTasks
from captchahub.errors import Attempt
from captchahub.provider import Solved
from captchahub.tasks import OptionValue, Solution, Task
from captchahub.tickets import Progress

if TYPE_CHECKING:
    # Only types of fields: these classes carry values, and know nothing of the modules that made them.
    from captchahub._journal.journal import Journal
    from captchahub._plugins.hooks import Hooks
    from captchahub._plugins.preparation import TaskPreparer
    from captchahub._providers.account import Account
    from captchahub._providers.admission import ChangeSignal


S_co = TypeVar("S_co", bound=Solution, covariant=True)


@attrs.frozen
class EngineServices:
    """What the solves of one hub share. ``chance`` returns random numbers from 0 to 1."""

    journal: Journal
    hooks: Hooks
    preparer: TaskPreparer
    background: BackgroundTasks
    changes: ChangeSignal
    chance: Callable[[], float]


@attrs.frozen(eq=False)
class SolveInfo(Generic[S_co]):
    """One solve, as its attempts know it. ``begun`` is wall clock time, in seconds since 1970."""

    id: str
    task: Task[S_co]
    begun: float
    is_shared: bool
    fingerprint: str
    options: Mapping[str, OptionValue]
    """The task's own; computed once, because both take a walk over its fields."""
    events: SolveEvents
    label: str | None
    progress: Progress
    """Receives the token of the latest job."""
    undelivered: UndeliveredAnswers = attrs.field(factory=UndeliveredAnswers)
    taken_over: set[int] = attrs.field(factory=set[int])
    """The rows in the journal of the jobs of dead hubs that its attempts have polled."""


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
