"""Answers that no caller has received yet."""

from __future__ import annotations

from captchahub._journal.journal import JobRow

__all__ = ["UndeliveredAnswers"]


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
