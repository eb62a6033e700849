"""Which of several answers enough providers gave: pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from captchahub._support.guard import foreign_errors
from captchahub._support.log import log

__all__ = ["Tally"]

T = TypeVar("T")


class Tally(Generic[T]):
    """Counts answers until ``needed`` of them are the same.

    ``agree`` need not be transitive, as where answers may differ by a few pixels: each group is counted
    around one of its members.
    """

    def __init__(self, needed: int, agree: Callable[[T, T], bool]) -> None:
        self._needed = needed
        self._agree = agree
        self._answers: list[T] = []
        self._groups: list[list[int]] = []

    def add(self, answer: T) -> None:
        """Count one more answer."""
        place = len(self._answers)
        same = [other for other, given in enumerate(self._answers) if self._are_same(given, answer)]
        for other in same:
            self._groups[other].append(place)
        self._answers.append(answer)
        self._groups.append([*same, place])

    @property
    def missing(self) -> int:
        """How many more of the same are needed at least; 0 where enough have agreed."""
        return max(0, self._needed - max((len(group) for group in self._groups), default=0))

    @property
    def winner(self) -> int | None:
        """The place of the answer that enough agree with, the earliest such; None while there is none."""
        return next((n for n, group in enumerate(self._groups) if len(group) >= self._needed), None)

    @property
    def agreeing(self) -> frozenset[int]:
        """The places of the answers that agree with the winner, its own included."""
        return frozenset() if self.winner is None else frozenset(self._groups[self.winner])

    def others(self, place: int) -> int:
        """How many other answers are the same as the one at a place."""
        return len(self._groups[place]) - 1

    def _are_same(self, one: T, other: T) -> bool:
        try:
            return bool(self._agree(one, other))
        except foreign_errors():
            # Both are paid for; that somebody's comparison is broken must not lose them.
            log.exception("two answers could not be compared, and count as different")
            return False
