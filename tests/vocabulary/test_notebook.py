"""What a notebook shows of tasks, results, attempts and the error of a solve."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import attrs
import pytest

from captchahub import (
    AllProvidersFailed,
    Attempt,
    Hub,
    Image,
    ImageToText,
    JobFailed,
    JobTimeout,
    Overtaken,
    PhoneSlide,
    Point,
    Result,
    SlideSolution,
    Solution,
    TextSolution,
)
from captchahub.tasks import Task
from captchahub.testing import Painter, Sandbox

Configured = Callable[..., dict[str, Any]]

HOSTILE = "<script>alert('x')</script> & \"quoted\""
GREEN, RED = "#2e8540", "#d83933"


class Reader(HTMLParser):
    """Reads the cells of the tables, and every tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("br", "img"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "br":
            self.rows[-1][-1] += "\n"

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1] != "div":
            self.rows[-1][-1] += data

    @property
    def facts(self) -> dict[str, str]:
        """The rows of two cells, as names and values."""
        return {row[0]: row[1] for row in self.rows if len(row) == 2}

    @property
    def attempts(self) -> list[list[str]]:
        """The rows of the table of attempts, its head first."""
        return [row for row in self.rows if len(row) == 6]


def shown(value: Task[Solution] | Result[Solution] | Attempt | AllProvidersFailed) -> Reader:
    return Reader(_html(value))


def _html(value: object) -> str:
    html = getattr(value, "_repr_html_")()  # noqa: B009 - the name that notebooks look for
    assert isinstance(html, str)
    return html


@pytest.fixture
def picture() -> Image:
    return Painter().text("x7kp2").image


class TestATask:
    def test_shows_its_picture_and_its_options(self, picture: Image) -> None:
        task = shown(ImageToText(picture, length=5, case_sensitive=False))
        [image] = [attributes for tag, attributes in task.tags if tag == "img"]
        assert image["src"] == f"data:image/png;base64,{picture.base64}"
        size = f"png, {picture.width} x {picture.height} pixels, {len(picture.data)} bytes"
        assert task.facts == {"picture": size, "length": "5", "case_sensitive": "False"}

    def test_does_not_carry_a_large_picture(self, picture: Image) -> None:
        # What follows the end of a PNG is ignored.
        large = Image.from_bytes(picture.data + bytes(1_000_000))
        assert [tag for tag, _ in shown(PhoneSlide(large)).tags if tag == "img"] == []
        assert len(_html(PhoneSlide(large))) < 2000

    def test_escapes_its_options(self, picture: Image) -> None:
        task = shown(ImageToText(picture, hint=HOSTILE))
        assert task.facts["hint"] == HOSTILE
        assert "script" not in {tag for tag, _ in task.tags}


def result(**changes: Any) -> Result[Solution]:
    attempts = (
        Attempt("omo", 9.0, 4, None, JobFailed(HOSTILE), Decimal(0), "image-to-text"),
        Attempt("backup", 3.21, 2, "job-7", None, Decimal("0.0005"), "image-to-text"),
    )
    made: Result[Solution] = Result(
        TextSolution("x7kp2"), "image-to-text", "backup", "job-7", Decimal("0.0005"), 12.34, attempts
    )
    return attrs.evolve(made, **changes)


class TestAResult:
    def test_shows_the_answer_and_the_attempts(self) -> None:
        assert shown(result()).facts == {
            "answer": "x7kp2",
            "provider": "backup, job job-7",
            "cost": "0.0005",
            "time": "12.3 s",
        }
        assert shown(result()).attempts == [
            ["provider", "job", "time", "polls", "cost", "end"],
            ["omo", "", "9.0 s", "4", "0", f"JobFailed: {HOSTILE}\n{JobFailed.advice}"],
            ["backup", "job-7", "3.2 s", "2", "0.0005", "solved"],
        ]

    def test_shows_a_slide_as_coordinates(self) -> None:
        slide = result(solution=SlideSolution(Point(60, 900), Point(310, 900)))
        assert shown(slide).facts["answer"] == "start (60, 900), end (310, 900)"

    def test_shows_a_solution_of_a_plugin(self) -> None:
        @attrs.frozen
        class Cells(Solution):
            cells: tuple[int, ...]
            grid: str | None = None

        class Plain(Solution):
            def __str__(self) -> str:
                return "a <plain> one"

        assert shown(result(solution=Cells((1, 5)))).facts["answer"] == "cells (1, 5)"
        assert shown(result(solution=Plain())).facts["answer"] == "a <plain> one"

    def test_shows_an_unknown_cost_as_unknown(self) -> None:
        unknown = Attempt("backup", 3.0, 2, "job-7", None, None, "image-to-text")
        facts = shown(result(cost=None, attempts=(unknown,))).facts
        assert facts["cost"] == "unknown"
        assert shown(result(cost=None, attempts=(unknown,))).attempts[1][4] == "unknown"

    def test_shows_what_differs_from_the_usual(self) -> None:
        paid = Attempt("omo", 9.0, 4, 1, JobTimeout("late"), Decimal("0.001"), "image-to-text")
        facts = shown(
            result(attempts=(paid, *result().attempts), ignored_options=("length", "hint"), is_shared=True)
        ).facts
        assert facts["cost of all attempts"] == "0.0015"
        assert facts["not sent"] == "length, hint"
        assert "shared" in facts


class TestAnError:
    def test_of_a_solve_shows_each_attempt(self) -> None:
        error = AllProvidersFailed("no provider solved it <b>", [*result().attempts[:1]])
        assert shown(error).facts == {"error": "no provider solved it <b>"}
        assert [row[0] for row in shown(error).attempts] == ["provider", "omo"]

    def test_an_attempt_that_was_not_waited_for_is_neither_good_nor_bad(self) -> None:
        overtaken = Attempt("omo", 9.0, error=Overtaken("backup was faster"))
        assert GREEN not in _html(overtaken)
        assert RED not in _html(overtaken)
        assert RED in _html(attrs.evolve(overtaken, error=JobFailed("unreadable")))
        assert GREEN in _html(attrs.evolve(overtaken, error=None))

    def test_a_long_message_is_cut(self) -> None:
        page = Attempt("omo", 9.0, job_id="j" * 5000, error=JobFailed("<p>" * 5000))
        assert len(_html(page)) < 6000

    def test_has_no_token(self, configured: Configured, sandbox: Sandbox) -> None:
        mapping = configured("omo")
        mapping["providers"]["omo"]["api_token"] = "s3cret-t0ken"
        with Hub.from_mapping(mapping) as hub, pytest.raises(AllProvidersFailed) as caught:
            hub.solve(sandbox.draw_text().task())
        assert "AuthenticationError" in _html(caught.value)
        assert "s3cret-t0ken" not in _html(caught.value)


def _luminance(colour: str) -> float:
    """The relative luminance that the Web Content Accessibility Guidelines define."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class TestInDarkAndLight:
    @pytest.mark.parametrize("colour", [GREEN, RED])
    @pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
    def test_its_colours_have_contrast(self, colour: str, ground: str) -> None:
        dark, light = sorted((_luminance(colour), _luminance(ground)))
        assert (light + 0.05) / (dark + 0.05) >= 4

    def test_all_other_colours_are_those_of_the_page(self) -> None:
        html = _html(result())
        assert set(re.findall(r"#[0-9a-f]{6}", html)) == {GREEN, RED}
        assert set(re.findall(r"background:(\w+)", html)) == {"none"}
