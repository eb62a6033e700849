"""The options of tasks, which of them contradict each other, and which answers cannot be right."""

from __future__ import annotations

import copy
import itertools
import math
import os
import pickle
import string
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import (
    Image,
    ImageToText,
    PhoneSlide,
    Point,
    Size,
    SlideSolution,
    Solution,
    Task,
    TaskError,
    TextSolution,
)

PICTURE = Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=")
SCREEN = Image(b"a screenshot", "png", 300, 600)

# One value of every option, each different from "not given".
EVERY_OPTION: Mapping[str, Any] = {
    "length": 5,
    "min_length": 2,
    "max_length": 8,
    "charset": string.digits,
    "case_sensitive": False,
    "phrase": False,
    "math": False,
    "language": "en",
    "hint": "the red letters",
}


def text_task(**options: Any) -> ImageToText:
    return ImageToText(PICTURE, **options)


@attrs.frozen
class Cells(Solution):
    """The answer to a task of a third-party plugin."""

    cells: tuple[int, ...]


@attrs.frozen
class PickCells(Task[Cells]):
    """A task of a third-party plugin."""

    kind = "pick-cells"
    solution_type = Cells

    image: Image
    wanted: str | None = None
    rows: int = 3

    def check(self, solution: Solution) -> str | None:
        if not self.is_answered_by(solution):
            return "not cells"
        return None if solution.cells else "no cell"


def test_each_task_has_a_kind_and_a_type_of_solution() -> None:
    assert (ImageToText.kind, ImageToText.solution_type) == ("image-to-text", TextSolution)
    assert (PhoneSlide.kind, PhoneSlide.solution_type) == ("phone-slide", SlideSolution)


class TestEveryTask:
    TASKS = (text_task(length=5, charset="abc"), PhoneSlide(SCREEN), PickCells(SCREEN, "cars"))

    @pytest.mark.parametrize("task", TASKS)
    def test_it_is_frozen(self, task: Task[Solution]) -> None:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            task.image = PICTURE  # type: ignore[misc] # the point of it

    @pytest.mark.parametrize("task", TASKS)
    def test_it_can_be_pickled_and_copied(self, task: Task[Solution]) -> None:
        for same in (pickle.loads(pickle.dumps(task)), copy.copy(task), copy.deepcopy(task)):
            assert same == task
            assert hash(same) == hash(task)
            assert same.fingerprint == task.fingerprint

    @pytest.mark.parametrize("task", TASKS)
    def test_repr_shows_no_content_of_the_picture(self, task: Task[Solution]) -> None:
        assert repr(task.image) in repr(task)
        assert "screenshot" not in repr(task)
        assert "GIF8" not in repr(task)

    def test_it_compares_by_value(self) -> None:
        assert text_task(length=5) == text_task(length=5)
        assert text_task(length=5) != text_task(length=6)
        assert text_task() != ImageToText(SCREEN)
        tasks: list[Task[Solution]] = [PhoneSlide(SCREEN), ImageToText(SCREEN)]
        assert tasks[0] != tasks[1]
        assert len({text_task(length=5), text_task(length=5), PhoneSlide(SCREEN), PhoneSlide(SCREEN)}) == 2

    @pytest.mark.parametrize("make", [ImageToText, PhoneSlide])
    @pytest.mark.parametrize("thing", [b"bytes", "captcha.png", None])
    def test_its_picture_must_be_an_image(self, make: Any, thing: object) -> None:
        wanted = f"image must be an Image, not {type(thing).__name__}: use Image.open"
        with pytest.raises(TaskError, match=wanted):
            make(thing)


class TestOptions:
    def test_they_are_those_that_were_given_by_name(self) -> None:
        assert text_task().options == {}
        assert text_task(length=5, charset="abc").options == {"length": 5, "charset": "abc"}

    def test_an_option_given_as_false_was_given(self) -> None:
        assert text_task(phrase=False).options == {"phrase": False}

    def test_the_picture_is_not_one_of_them(self) -> None:
        assert PhoneSlide(SCREEN).options == {}

    def test_they_are_found_in_the_tasks_of_a_plugin(self) -> None:
        assert PickCells(SCREEN, "cars").options == {"wanted": "cars", "rows": 3}

    def test_a_task_type_that_is_not_an_attrs_class_is_refused_with_what_to_do(self) -> None:
        class Undecorated(Task[Cells]):
            kind = "undecorated"
            solution_type = Cells
            image = PICTURE

            def check(self, solution: Solution) -> str | None:
                return None

        with pytest.raises(
            TypeError, match=r"Undecorated must be an attrs class: decorate it with @attrs.frozen"
        ):
            _ = Undecorated().options

    def test_they_are_given_by_name_only(self) -> None:
        with pytest.raises(TypeError, match="positional"):
            ImageToText(PICTURE, 5)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # the point of it


class TestFingerprint:
    def test_it_is_the_same_for_equal_tasks(self) -> None:
        assert text_task(length=5, charset="ab").fingerprint == text_task(charset="ab", length=5).fingerprint

    def test_it_differs_for_every_option_kind_and_picture(self) -> None:
        tasks: list[Task[Solution]] = [text_task(**{name: value}) for name, value in EVERY_OPTION.items()]
        tasks += [text_task(phrase=True), text_task(length=6), text_task(charset="0"), text_task(hint="0")]
        tasks += [
            text_task(),
            ImageToText(SCREEN),
            PhoneSlide(SCREEN),
            PhoneSlide(PICTURE),
            PickCells(SCREEN),
        ]
        for one, other in itertools.combinations(tasks, 2):
            assert one.fingerprint != other.fingerprint, (one, other)

    def test_every_option_is_in_the_list_of_this_test(self) -> None:
        assert {field.name for field in attrs.fields(ImageToText)} == {"image", *EVERY_OPTION}

    @pytest.mark.parametrize("seed", ["0", "1", "4242"])
    def test_it_is_the_same_in_another_process(self, seed: str) -> None:
        task = text_task(length=5, charset="é1", hint="\ud800 half a character", case_sensitive=True)
        program = (
            "from captchahub import Image, ImageToText\n"
            f"picture = Image.from_base64({PICTURE.base64!r})\n"
            "task = ImageToText(picture, hint='\\ud800 half a character', case_sensitive=True, charset='é1', "
            "length=5)\nprint(task.fingerprint)"
        )
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert done.stdout.strip() == task.fingerprint

    def test_it_is_a_hash_in_hexadecimal(self) -> None:
        assert len(text_task().fingerprint) == 64
        assert set(text_task().fingerprint) <= set("0123456789abcdef")


class AlmostFive:
    """A number type of another library."""

    def __index__(self) -> int:
        return 5

    def __repr__(self) -> str:
        return "AlmostFive()"


class TestOptionsOfTheWrongType:
    @pytest.mark.parametrize("name", ["length", "min_length", "max_length"])
    @pytest.mark.parametrize("value", [True, False, "5", 5.0, math.nan, AlmostFive(), [5]])
    def test_a_length_is_a_whole_number(self, name: str, value: object) -> None:
        with pytest.raises(TaskError, match=f"{name} must be a whole number of characters, not "):
            text_task(**{name: value})

    @pytest.mark.parametrize("name", ["length", "min_length", "max_length"])
    @pytest.mark.parametrize("value", [0, -1])
    def test_a_length_is_one_or_more(self, name: str, value: int) -> None:
        with pytest.raises(TaskError, match=f"{name} must be 1 or more, not {value}"):
            text_task(**{name: value})

    @pytest.mark.parametrize("name", ["case_sensitive", "phrase", "math"])
    @pytest.mark.parametrize("value", [0, 1, "yes", "false", []])
    def test_a_flag_is_true_false_or_none(self, name: str, value: object) -> None:
        with pytest.raises(TaskError, match=f"{name} must be True, False or None, not "):
            text_task(**{name: value})

    @pytest.mark.parametrize("name", ["charset", "language", "hint"])
    @pytest.mark.parametrize("value", [5, b"abc", ["a", "b"], {"a"}])
    def test_words_are_text(self, name: str, value: object) -> None:
        with pytest.raises(TaskError, match=f"{name} must be text, not "):
            text_task(**{name: value})

    @pytest.mark.parametrize("name", ["charset", "language", "hint"])
    @pytest.mark.parametrize("value", ["", "  ", "\n"])
    def test_empty_words_are_refused(self, name: str, value: str) -> None:
        with pytest.raises(TaskError, match=f"{name} is empty; pass a text, or leave it out"):
            text_task(**{name: value})

    @pytest.mark.parametrize("language", ["en", "ru", "fil", "zh-Hans", "pt-BR", "de-1996"])
    def test_a_language_is_a_code(self, language: str) -> None:
        assert text_task(language=language).language == language

    @pytest.mark.parametrize("language", ["English", "EN", "e", "en_US", "en-", "2", "русский", "en\n"])
    def test_a_languages_name_is_refused(self, language: str) -> None:
        with pytest.raises(TaskError, match="is not a language code such as 'en' or 'zh-Hans'"):
            text_task(language=language)


class TestContradictions:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"length": 5, "min_length": 5}, "pass either length, or min_length and max_length"),
            ({"length": 5, "max_length": 9}, "pass either length, or min_length and max_length"),
            ({"min_length": 6, "max_length": 5}, "min_length 6 is more than max_length 5"),
            ({"math": True, "phrase": True}, "a sum .* is answered by one number, not by several words"),
            ({"math": True, "charset": "abc"}, "a sum .* but charset has no digit"),
            ({"math": True, "charset": "²"}, "a sum .* but charset has no digit"),
            ({"phrase": True, "length": 2}, "several words .* need more than 2 characters"),
            ({"phrase": True, "max_length": 1}, "several words .* need more than 1 characters"),
        ],
    )
    def test_they_are_refused_when_the_task_is_built(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(TaskError, match=said):
            text_task(**options)

    @pytest.mark.parametrize(
        "options",
        [
            {"min_length": 5, "max_length": 5},
            {"min_length": 5},
            {"max_length": 5},
            {"math": True, "phrase": False},
            {"math": False, "phrase": True},
            {"math": True, "charset": "0123456789+-="},
            {"phrase": True, "length": 3},
            {"phrase": True, "min_length": 1},
        ],
    )
    def test_options_that_only_seem_to_contradict_are_accepted(self, options: dict[str, Any]) -> None:
        assert text_task(**options).options == options

    def test_a_changed_task_is_checked_as_well(self) -> None:
        with pytest.raises(TaskError, match="pass either length"):
            attrs.evolve(text_task(length=5), min_length=3)


class TestTextThatCanNotBeRight:
    @pytest.mark.parametrize(
        ("options", "text", "said"),
        [
            ({}, "", "the answer is empty"),
            ({}, " \n", "the answer is empty"),
            ({"length": 5}, "x7kp", "'x7kp' has 4 characters, not 5"),
            ({"length": 3}, "x7kp", "'x7kp' has 4 characters, not 3"),
            ({"min_length": 5}, "x7kp", "'x7kp' has 4 characters, fewer than 5"),
            ({"max_length": 3}, "x7kp", "'x7kp' has 4 characters, more than 3"),
            ({"charset": string.digits}, "1l3O", "'1l3O' has 'Ol', which charset does not allow"),
            (
                {"charset": "ABC", "case_sensitive": True},
                "aBC",
                "'aBC' has 'a', which charset does not allow",
            ),
            ({"phrase": False}, "two words", "'two words' has several words, but the task expects one"),
            ({"phrase": False}, "two\twords", "has several words"),
            ({"math": True}, "3+4", "'3+4' is not a number, but the picture shows a sum"),
            ({"math": True}, "seven", "is not a number"),
            ({"math": True, "charset": "12"}, "13", "has '3', which charset does not allow"),
            ({"math": True, "length": 2}, "7", "has 1 characters, not 2"),
        ],
    )
    def test_the_reason_is_returned(self, options: dict[str, Any], text: str, said: str) -> None:
        assert said in (text_task(**options).check(TextSolution(text)) or "nothing against it")

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({}, "anything at all: 1, 2, \u00fc"),
            ({}, "ERROR"),
            ({"length": 4}, "x7kp"),
            ({"length": 3}, "a b"),
            ({"min_length": 4, "max_length": 4}, "x7kp"),
            ({"charset": "ABC"}, "abC"),
            ({"charset": "abc", "case_sensitive": False}, "ABC"),
            ({"charset": "abc"}, "a b\nc"),
            ({"charset": "abc", "case_sensitive": True}, "cab"),
            ({"phrase": False}, "one"),
            ({"phrase": False}, " one "),
            ({"phrase": True}, "two words"),
            ({"math": True}, "7"),
            ({"math": True}, "-12"),
            ({"math": True}, "\u22123"),
            ({"math": True, "charset": string.digits}, "-12"),
            ({"math": False}, "3+4"),
        ],
    )
    def test_other_answers_may_be_right(self, options: dict[str, Any], text: str) -> None:
        assert text_task(**options).check(TextSolution(text)) is None

    def test_an_answer_of_another_type(self) -> None:
        slide = SlideSolution(Point(1, 2), Point(3, 4))
        assert text_task().check(slide) == "image-to-text is answered by a TextSolution, not a SlideSolution"
        assert not text_task().is_answered_by(slide)
        assert text_task().is_answered_by(TextSolution("a"))

    @given(st.text(max_size=6), st.integers(1, 6))
    def test_text_of_the_right_length_is_all_that_a_length_takes(self, text: str, length: int) -> None:
        accepted = text_task(length=length).check(TextSolution(text)) is None
        assert accepted == (len(text) == length and bool(text.strip()))

    @given(st.text(max_size=3))
    def test_a_sum_takes_numbers_only(self, text: str) -> None:
        if text_task(math=True).check(TextSolution(text)) is None:
            int(text.replace("\u2212", "-"))

    @given(st.text(alphabet="abcDEF", min_size=1), st.booleans())
    def test_text_made_of_the_charset_is_never_refused_for_it(self, text: str, case_sensitive: bool) -> None:
        task = text_task(charset="abcDEF", case_sensitive=case_sensitive)
        assert task.check(TextSolution(text)) is None

    def test_there_is_nothing_to_complete(self) -> None:
        solution = TextSolution("x7kp2")
        assert text_task().complete(solution) is solution


def drag(start: tuple[float, float], end: tuple[float, float]) -> SlideSolution:
    return SlideSolution(Point(*start), Point(*end))


class TestDragsThatCanNotBeRight:
    TASK = PhoneSlide(SCREEN)

    @pytest.mark.parametrize("place", [(0, 0), (299, 599), (299.9, 0.5), (150, 300)])
    def test_every_point_of_the_screenshot_is_accepted(self, place: tuple[float, float]) -> None:
        assert self.TASK.check(drag(place, (10, 10))) is None
        assert self.TASK.check(drag((10, 10), place)) is None

    @pytest.mark.parametrize(
        "place",
        [
            (300, 10),
            (10, 600),
            (-1, 10),
            (10, -0.5),
            (math.nan, 1),
            (1, math.nan),
            (math.inf, 1),
            (10**400, 1),
        ],
    )
    def test_a_point_outside_is_refused_by_name(self, place: tuple[float, float]) -> None:
        said = f"({place[0]}, {place[1]}) is outside the screenshot of 300x600 pixels"
        assert self.TASK.check(drag(place, (10, 10))) == f"the start {said}"
        assert self.TASK.check(drag((10, 10), place)) == f"the end {said}"

    def test_a_drag_that_leads_nowhere(self) -> None:
        assert self.TASK.check(drag((10, 20), (10, 20))) == "the drag starts and ends at (10, 20)"

    def test_an_answer_of_another_type(self) -> None:
        said = "phone-slide is answered by a SlideSolution, not a TextSolution"
        assert self.TASK.check(TextSolution("10,20")) == said

    @given(*[st.floats() | st.integers()] * 4)
    def test_any_drag_is_judged(self, x: float, y: float, to_x: float, to_y: float) -> None:
        verdict = self.TASK.check(drag((x, y), (to_x, to_y)))
        inside = all(0 <= across < 300 and 0 <= down < 600 for across, down in ((x, y), (to_x, to_y)))
        assert (verdict is None) == (inside and (x, y) != (to_x, to_y))


class TestSlideSolution:
    def test_the_task_fills_in_the_size_of_its_screenshot(self) -> None:
        solution = PhoneSlide(SCREEN).complete(drag((1, 2), (3, 4)))
        assert solution == SlideSolution(Point(1, 2), Point(3, 4), Size(300, 600))

    def test_what_is_filled_in_stays(self) -> None:
        solution = SlideSolution(Point(1, 2), Point(3, 4), Size(30, 60))
        assert PhoneSlide(SCREEN).complete(solution) is solution
        assert PhoneSlide(SCREEN).complete(TextSolution("a")) == TextSolution("a")

    def test_it_is_scaled_to_the_device_the_screenshot_came_from(self) -> None:
        sent = SlideSolution(Point(30, 60), Point(150, 300.5), Size(300, 600))
        assert sent.scaled(1080, 2400) == SlideSolution(Point(108, 240), Point(540, 1202), Size(1080, 2400))

    def test_scaling_there_and_back_changes_nothing(self) -> None:
        sent = SlideSolution(Point(30, 60), Point(150, 300), Size(300, 600))
        assert sent.scaled(150, 1200).scaled(300, 600) == sent == sent.scaled(300, 600)

    @given(
        st.tuples(*[st.integers(1, 5000)] * 4),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
    )
    def test_a_place_stays_where_it_is_on_the_screen(
        self, sizes: tuple[int, int, int, int], across: float, down: float
    ) -> None:
        width, height, new_width, new_height = sizes
        place = Point(across * width, down * height)
        scaled = SlideSolution(place, Point(0, 0), Size(width, height)).scaled(new_width, new_height)
        assert scaled.start.x == pytest.approx(across * new_width)
        assert scaled.start.y == pytest.approx(down * new_height)
        assert scaled.end == Point(0, 0)

    @pytest.mark.parametrize(("width", "height"), [(0, 100), (100, 0), (-1, 100)])
    def test_a_screen_has_a_size(self, width: int, height: int) -> None:
        with pytest.raises(ValueError, match=f"a screen cannot be {width}x{height} pixels"):
            SlideSolution(Point(1, 2), Point(3, 4), Size(300, 600)).scaled(width, height)

    def test_a_solution_without_a_screen_cannot_be_scaled(self) -> None:
        with pytest.raises(ValueError, match="the size of the screenshot is unknown"):
            drag((1, 2), (3, 4)).scaled(100, 100)

    def test_a_size_reads_as_people_write_it(self) -> None:
        assert str(Size(300, 600)) == "300x600"


@pytest.mark.parametrize(
    "solution",
    [TextSolution("x7kp2"), SlideSolution(Point(1, 2), Point(3.5, 4), Size(300, 600)), Cells((1, 2))],
)
class TestEverySolution:
    def test_it_can_be_pickled_and_copied(self, solution: Solution) -> None:
        for same in (pickle.loads(pickle.dumps(solution)), copy.copy(solution), copy.deepcopy(solution)):
            assert same == solution
            assert hash(same) == hash(solution)

    def test_it_is_frozen(self, solution: Solution) -> None:
        with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
            solution.anything = 1  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] # the point


def test_a_task_of_a_plugin_needs_no_more_than_a_check() -> None:
    task = PickCells(SCREEN, "cars")
    assert task.check(TextSolution("a")) == "not cells"
    assert task.check(Cells(())) == "no cell"
    assert task.check(Cells((1, 4))) is None
    assert task.complete(Cells((1,))) == Cells((1,))
