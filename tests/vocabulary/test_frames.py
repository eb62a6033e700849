"""Where a prepared picture lies in the original picture."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import Point, SlideSolution, TextSolution
from captchahub.frames import WHOLE, Frame, frame_of

PLACES = st.floats(-1e5, 1e5)
FRAMES = st.builds(Frame, left=PLACES, top=PLACES, across=st.floats(0.01, 100.0), down=st.floats(0.01, 100.0))


def test_10_pixels_cut_off_at_the_left_and_the_rest_halved() -> None:
    frame = Frame(left=10, across=2, down=2)
    assert frame.place(0, 0) == (10, 0)
    assert frame.place(45, 20) == (100, 40)


class TestWithin:
    @given(inner=FRAMES, outer=FRAMES, x=PLACES, y=PLACES)
    def test_places_as_one_after_the_other(self, inner: Frame, outer: Frame, x: float, y: float) -> None:
        # Where left and top cancel each other out, their rounding is all that is left.
        expected = outer.place(*inner.place(x, y))
        assert inner.within(outer).place(x, y) == pytest.approx(expected, rel=1e-6, abs=1e-4)

    @given(first=FRAMES, second=FRAMES, third=FRAMES, x=PLACES, y=PLACES)
    def test_can_be_grouped_at_will(
        self, first: Frame, second: Frame, third: Frame, x: float, y: float
    ) -> None:
        one, other = first.within(second).within(third), first.within(second.within(third))
        assert one.place(x, y) == pytest.approx(other.place(x, y), rel=1e-6, abs=1e-2)

    @given(frame=FRAMES)
    def test_the_whole_changes_nothing(self, frame: Frame) -> None:
        assert frame.within(WHOLE) == frame
        assert WHOLE.within(frame) == frame


class TestSolutions:
    @given(frame=FRAMES, x=PLACES, y=PLACES)
    def test_with_coordinates_are_mapped_back(self, frame: Frame, x: float, y: float) -> None:
        slide = SlideSolution(Point(x, y), Point(y, x)).placed(frame)
        assert (slide.start.x, slide.start.y) == frame.place(x, y)
        assert (slide.end.x, slide.end.y) == frame.place(y, x)

    def test_without_coordinates_stay_unchanged(self) -> None:
        assert TextSolution("x7kp2").placed(Frame(left=10)) == TextSolution("x7kp2")


class TestNumbers:
    @pytest.mark.parametrize("name", ["left", "top", "across", "down"])
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", None, True])
    def test_that_are_not_finite_are_refused(self, name: str, value: object) -> None:
        with pytest.raises(ValueError, match=f"{name} of a frame must be a finite number"):
            frame_of({name: value})

    @pytest.mark.parametrize("name", ["across", "down"])
    @pytest.mark.parametrize("value", [0, -1.5])
    def test_a_scale_must_be_positive(self, name: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"{name} of a frame must be more than 0, not {value}"):
            frame_of({name: value})


class TestWritten:
    @given(frame=FRAMES)
    def test_it_is_read_back(self, frame: Frame) -> None:
        assert frame_of(attrs.asdict(frame)) == frame

    def test_other_fields_are_refused(self) -> None:
        with pytest.raises(ValueError, match="not a frame"):
            frame_of({"left": 1, "right": 2})
