"""Which answer enough providers agree on, as the task compares them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from operator import eq
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import Image, ImageToText, PhoneSlide, Point, SlideSolution, Solution, TextSolution
from captchahub._policy.voting import Tally

T = TypeVar("T")

PICTURE = Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=")
LARGE = Image.from_bytes(PICTURE.data[:6] + struct.pack("<HH", 1000, 400) + PICTURE.data[10:])

answers = st.lists(st.integers(0, 30), max_size=12)


def near(one: int, other: int) -> bool:
    """Agrees as coordinates do: 1 with 3 and 3 with 5, but not 1 with 5."""
    return abs(one - other) <= 2


def broken(_one: object, _other: object) -> bool:
    raise KeyError("broken")


def texts(*written: str) -> list[Solution]:
    return [TextSolution(text) for text in written]


class TestTally:
    @staticmethod
    def count(answers: Sequence[T], agree: Callable[[T, T], bool], needed: int = 2) -> Tally[T]:
        ballot: Tally[T] = Tally(needed, agree)
        for answer in answers:
            ballot.add(answer)
        return ballot

    def test_without_answers_there_is_no_winner(self) -> None:
        ballot: Tally[str] = self.count([], eq)
        assert (ballot.winner, ballot.agreeing, ballot.missing) == (None, frozenset(), 2)

    def test_if_one_is_needed_the_first_wins_and_nothing_is_compared(self) -> None:
        ballot = self.count(["x7kp2"], broken, needed=1)
        assert (ballot.winner, ballot.agreeing, ballot.missing) == (0, frozenset({0}), 0)

    def test_the_winner_is_the_answer_that_enough_providers_gave(self) -> None:
        ballot = self.count(["a", "b", "c", "b"], eq)
        assert (ballot.winner, ballot.agreeing) == (1, frozenset({1, 3}))

    def test_while_too_few_agree_some_are_missing(self) -> None:
        assert self.count(["a", "b"], eq, needed=3).missing == 2
        assert self.count(["a", "b", "b"], eq, needed=3).missing == 1

    def test_all_counted_answers_agree_with_the_winner(self) -> None:
        """Otherwise a chain of small differences would connect two answers that are far apart."""
        ballot = self.count([1, 5, 3], near, needed=3)
        assert (ballot.winner, ballot.agreeing) == (2, frozenset({0, 1, 2}))
        assert self.count([1, 3, 5, 7], near, needed=4).winner is None

    def test_answers_differ_if_comparing_them_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        assert self.count(["a", "a"], broken).winner is None
        assert "could not be compared" in caplog.text

    @given(answers)
    def test_equal_answers_are_counted(self, answers: list[int]) -> None:
        ballot = self.count(answers, eq)
        assert len({answers[place] for place in ballot.agreeing}) <= 1
        most = max(map(answers.count, answers), default=0)
        assert ballot.missing == max(0, 2 - most)
        assert (ballot.winner is not None) is (most >= 2)

    @given(answers)
    def test_any_winner_agrees_with_all_counted_answers(self, answers: list[int]) -> None:
        ballot = self.count(answers, near, needed=3)
        if ballot.winner is not None:
            assert len(ballot.agreeing) >= 3
            assert all(near(answers[ballot.winner], answers[place]) for place in ballot.agreeing)


class TestAsTheTaskCompares:
    def test_texts_without_case_and_spaces(self) -> None:
        task = ImageToText(PICTURE)
        assert TestTally.count(texts("X7kp2", "x7kp3", " x7KP2"), task.agrees).agreeing == {0, 2}

    def test_texts_with_case_if_it_matters(self) -> None:
        task = ImageToText(PICTURE, case_sensitive=True)
        assert TestTally.count(texts("X7kp2", "x7kp2", "x7kp2 "), task.agrees).agreeing == {1, 2}

    def test_drags_within_some_pixels(self) -> None:
        task = PhoneSlide(LARGE)
        drags = [SlideSolution(Point(10, 10), Point(end, 10)) for end in (500, 700, 509)]
        assert TestTally.count(drags, task.agrees).agreeing == {0, 2}
