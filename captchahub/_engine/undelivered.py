"""Answers that no caller has got yet."""

from __future__ import annotations

from captchahub._journal.journal import JobRow

__all__ = ["UndeliveredAnswers"]


class UndeliveredAnswers:
    """The answers that came too late for a solve: once it has another one, nobody is missing them."""

    def __init__(self) -> None:
        self._pages: list[JobRow] = []
        self._held: list[JobRow] = []
        self._is_answered = False

    def add(self, page: JobRow, *, is_held: bool = False) -> None:
        """One more; ``is_held`` where the solve looks at it, so that nobody else may have it meanwhile."""
        if self._is_answered:
            page.mark_delivered()
            return
        self._pages.append(page)
        if is_held:
            self._held.append(page)

    def answered(self) -> None:
        """The solve has its answer."""
        self._is_answered = True
        self._held.clear()
        while self._pages:
            self._pages.pop().mark_delivered()

    @property
    def is_holding(self) -> bool:
        """Whether the solve has looked at some."""
        return bool(self._held)

    async def hand_over(self) -> None:
        """Leave those that a solve without an answer has looked at to whoever resumes."""
        while self._held:
            await self._held.pop().release()
