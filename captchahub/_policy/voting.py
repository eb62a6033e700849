"""Which answer enough providers agree on, for a route with ``agree``. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from captchahub._support.guard import foreign_errors
from captchahub._support.log import log

T = TypeVar("T")


class Tally(Generic[T]):
    """Counts answers until ``needed`` of them agree.

    ``agree`` need not be transitive: answers may differ by a few pixels, so that the first agrees with the
    second and the second with the third, but not the first with the third. So each group of answers is
    counted around one of its members.
    """

    def __init__(self, needed: int, agree: Callable[[T, T], bool]) -> None:
        self.winner: int | None = None
        """The place of the first answer that enough answers agree with, or None if there is none."""
        self.missing = needed
        """The least number of further answers that the winner needs; 0 if there is a winner."""
        self._needed = needed
        self._agree = agree
        self._answers: list[T] = []
        # For each answer the places of those that agree with it, its own included.
        self._groups: list[list[int]] = []

    def add(self, answer: T) -> None:
        """Count one more answer."""
        place = len(self._answers)
        same = [other for other, earlier in enumerate(self._answers) if self._are_same(earlier, answer)]
        for other in same:
            self._groups[other].append(place)
        self._answers.append(answer)
        self._groups.append([*same, place])
        sizes = [len(group) for group in self._groups]
        self.winner = next((n for n, size in enumerate(sizes) if size >= self._needed), None)
        self.missing = max(0, self._needed - max(sizes))

    @property
    def agreeing(self) -> frozenset[int]:
        """The places of the answers that agree with the winner, its own included."""
        return frozenset() if self.winner is None else frozenset(self._groups[self.winner])

    def others(self, place: int) -> int:
        """Return how many other answers agree with the one at a place."""
        return len(self._groups[place]) - 1

    def _are_same(self, one: T, other: T) -> bool:
        try:
            return bool(self._agree(one, other))
        except foreign_errors():
            # Both answers are paid for, so a fault in a plugin's comparison must not lose them.
            log.exception("two answers could not be compared, so they count as different")
            return False
