"""What the pictures of ``captchahub solve`` wait for now, as lines for a live display. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from captchahub.cli.text import counted, printable
from captchahub.errors import ProviderError
from captchahub.events import (
    Cancelled,
    Event,
    Failed,
    FellBack,
    JobCreated,
    Polled,
    Retrying,
    Solved,
    Submitted,
)

__all__ = ["Status"]


@attrs.frozen
class _Step:
    """What one solve does: ``what`` names it, and ``since`` is the time it began, in seconds."""

    what: str
    since: float
    error: str = ""


class Status:
    """The steps of the solves in progress. The caller passes the time, in seconds."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = self._failed = 0
        self._steps: dict[str, _Step] = {}

    def record(self, event: Event, now: float) -> None:
        """Record an event of a solve."""
        match event:
            case Submitted():
                self._steps[event.solve] = _Step("queued", now)
            case JobCreated():
                self._begin(event.solve, f"ordered at {event.provider}", now)
            case Polled():
                # A poll continues the wait that began with the order.
                since = self._steps[event.solve].since if event.solve in self._steps else now
                self._begin(event.solve, f"polling {event.provider}", since, event.error)
            case Retrying():
                self._begin(event.solve, f"trying {event.provider} again", now, event.error)
            case FellBack():
                self._begin(event.solve, f"falling back from {event.provider}", now, event.error)
            case Solved() | Failed() | Cancelled():
                self._steps.pop(event.solve, None)
            case _:
                pass

    def _begin(self, solve: str, what: str, now: float, error: ProviderError | None = None) -> None:
        step = self._steps.get(solve)
        if step is not None:  # an overtaken attempt can end after its solve
            since = step.since if step.what == what else now
            self._steps[solve] = _Step(what, since, "" if error is None else str(error))

    def finish(self, *, is_solved: bool) -> None:
        """Count a picture that has its result line."""
        self._done += 1
        self._failed += not is_solved

    def lines(self, now: float) -> Iterator[str]:
        """Yield a line with the totals, if there are several pictures, and one for each step."""
        if self._done == self._total:
            return
        if self._total > 1:
            failed = f", {self._failed} failed" if self._failed else ""
            yield f"{self._done} of {counted(self._total, 'picture')} done{failed}"
        # Pictures that are not submitted yet have no step.
        queued = self._total - self._done - len(self._steps)
        by_what: dict[str, list[_Step]] = {}
        for step in self._steps.values():
            by_what.setdefault(step.what, []).append(step)
        queued += len(by_what.pop("queued", ()))
        for what, steps in sorted(by_what.items()):
            longest = now - min(step.since for step in steps)
            error = next((f": {step.error}" for step in reversed(steps) if step.error), "")
            yield printable(f"{self._number(len(steps))}{what} for {longest:.0f} s{error}")
        if queued > 0:
            yield f"{self._number(queued)}queued"

    def _number(self, pictures: int) -> str:
        return f"  {pictures} " if self._total > 1 else ""
