"""The events and log lines of one solve."""

from __future__ import annotations

import logging
from decimal import Decimal

from captchahub._plugins.dispatcher import EventDispatcher
from captchahub._support.log import log
from captchahub._support.tracebacks import drop_traceback
from captchahub.errors import (
    AllProvidersFailed,
    Attempt,
    BudgetExceeded,
    HubClosed,
    PriceUnknown,
    ProviderError,
)
from captchahub.events import (
    Attempted,
    BudgetRefused,
    Cancelled,
    Failed,
    FellBack,
    JobCreated,
    Polled,
    Retrying,
    Solved,
    Submitted,
)
from captchahub.provider import JobId
from captchahub.results import Result
from captchahub.tasks import Solution


class SolveEvents:
    """Reports what happens to one solve to the observers. Nothing is built while there are none."""

    def __init__(self, dispatcher: EventDispatcher, solve: str, kind: str) -> None:
        self._dispatcher = dispatcher
        self._solve = solve
        self._kind = kind

    def submitted(self, timeout: float) -> None:
        """Report that the solve begins; it may take ``timeout`` seconds."""
        self._dispatcher.emit(
            lambda at: Submitted(at=at, solve=self._solve, kind=self._kind, timeout=timeout)
        )

    def solved(self, result: Result[Solution]) -> None:
        """Report that the solve has a result."""
        self._dispatcher.emit(lambda at: Solved(at=at, solve=self._solve, kind=self._kind, result=result))

    def cancelled(self, elapsed: float) -> None:
        """Report that the solve was cancelled after ``elapsed`` seconds."""
        self._dispatcher.emit(
            lambda at: Cancelled(at=at, solve=self._solve, kind=self._kind, elapsed=elapsed)
        )

    def failed(self, error: Exception, elapsed: float) -> None:
        """Report and log that the solve has failed after ``elapsed`` seconds."""
        # The attempts have lines of their own.
        why = error.message if isinstance(error, AllProvidersFailed) else f"{type(error).__name__}: {error}"
        # The caller who closes a hub expects that nothing comes of its solves.
        level = logging.INFO if isinstance(error, HubClosed) else logging.WARNING
        log.log(level, "%s: no answer after %.1f s: %s", self._kind, elapsed, why)
        self._dispatcher.emit(
            lambda at: Failed(at=at, solve=self._solve, kind=self._kind, error=error, elapsed=elapsed)
        )

    def job_created(self, provider: str, job_id: JobId, price: Decimal | None) -> None:
        """Report that the service has created a job."""
        self._dispatcher.emit(
            lambda at: JobCreated(
                at=at, solve=self._solve, kind=self._kind, provider=provider, job_id=job_id, price=price
            )
        )

    def polled(
        self, provider: str, job_id: JobId, number: int, error: ProviderError | None, *, is_done: bool
    ) -> None:
        """Report a poll of a job, the ``number``-th, and the error that it met, or None."""
        self._dispatcher.emit(
            lambda at: Polled(
                at=at,
                solve=self._solve,
                kind=self._kind,
                provider=provider,
                job_id=job_id,
                number=number,
                is_done=is_done,
                error=error,
            )
        )

    def retrying(self, provider: str, error: ProviderError) -> None:
        """Report that the same provider is called again after an error."""
        # The solve goes on, and an observer may keep the event: the error's frames would keep the picture.
        drop_traceback(error)
        self._dispatcher.emit(
            lambda at: Retrying(at=at, solve=self._solve, kind=self._kind, provider=provider, error=error)
        )

    def fell_back(self, provider: str, error: ProviderError) -> None:
        """Report that another provider is called after an error of this one."""
        self._dispatcher.emit(
            lambda at: FellBack(at=at, solve=self._solve, kind=self._kind, provider=provider, error=error)
        )

    def attempted(self, attempt: Attempt) -> None:
        """Report that an attempt has ended."""
        error = attempt.error
        if isinstance(error, (BudgetExceeded, PriceUnknown)):
            self._dispatcher.emit(
                lambda at: BudgetRefused(
                    at=at, solve=self._solve, kind=self._kind, provider=attempt.provider, error=error
                )
            )
        self._dispatcher.emit(
            lambda at: Attempted(at=at, solve=self._solve, kind=self._kind, attempt=attempt)
        )
