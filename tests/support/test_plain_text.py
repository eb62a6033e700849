"""Answers are normalized to what a person would type, so that they are not refused and paid for again."""

# ruff: noqa: RUF001 - characters that look like others are what this is about

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import Image, ImageToText, Result, TextSolution
from captchahub._engine.engine import Engine
from captchahub.tickets import Progress
from tests.virtual_services import Service, run_with_services

PICTURE = Image.from_base64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=")


def text_task(**options: Any) -> ImageToText:
    return ImageToText(PICTURE, **options)


def completed(text: str, **options: Any) -> str:
    solution = text_task(**options).complete(TextSolution(text))
    assert isinstance(solution, TextSolution)
    return solution.text


class TestWhatIsTyped:
    @pytest.mark.parametrize(
        ("options", "text", "typed"),
        [
            ({"charset": string.digits, "length": 5}, "１２３４５", "12345"),
            ({"length": 5}, "１２３４５", "12345"),
            ({}, "ＡＢｃ－１", "ABc-1"),
            ({}, "𝟏𝟐𝐚𝓫", "12ab"),
            ({"length": 5}, "x\u200b7\u2060kp2\ufeff", "x7kp2"),
            ({"length": 5}, "\u200ex7k\u00adp2\u202c", "x7kp2"),
            ({"length": 5}, "x7\ufe0fkp2\u034f", "x7kp2"),
            ({"length": 5}, "x\u200d7\u200ckp2", "x7kp2"),
            ({"length": 5}, "\u00a0x7kp2\u3000\n", "x7kp2"),
            ({"phrase": True}, "two\u00a0words\u202fmore", "two words more"),
            ({"length": 1}, "e\u0301", "é"),
            ({"length": 1}, "ｶﾞ", "ガ"),
            ({"charset": string.digits}, "۱۲۳", "123"),
            ({"charset": string.digits}, "١٢٣", "123"),
        ],
    )
    def test_other_writings_become_plain(self, options: dict[str, Any], text: str, typed: str) -> None:
        assert completed(text, **options) == typed

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({}, "x7kp2"),
            ({}, "a = b"),
            ({}, "5+3=8"),
            ({"math": False}, "5+3=8"),
            ({"charset": "０１２３"}, "１２"),
            ({"charset": "ａｂ", "case_sensitive": False}, "ＡＢ"),
            ({"charset": "ab\u200b"}, "a\u200bb"),
            ({"charset": "١٢٣"}, "١٢٣"),
            ({}, "١٢٣"),
            ({"length": 1}, "½"),
            ({"charset": "x²", "length": 2}, "x²"),
            ({"language": "fa"}, "می\u200cخواهم"),
            ({"language": "hi"}, "क्\u200dष"),
            ({"language": "th"}, "น้ำ"),
            ({"language": "ko"}, "ㄱㄴㅏ"),
            ({"language": "ru"}, "привёт"),
            ({}, "\u00b4"),
            ({}, "👨\u200d👩"),
        ],
    )
    def test_what_is_meant_stays(self, options: dict[str, Any], text: str) -> None:
        task, solution = text_task(**options), TextSolution(text)
        assert task.complete(solution) is solution
        assert task.check(solution) is None

    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("5+3=8", "8"),
            ("5 + 3 = 8", "8"),
            ("=8", "8"),
            ("= 8", "8"),
            ("8=", "8"),
            ("8 = 5 + 3", "8"),
            ("５＋３＝８", "8"),
            ("5×3=15", "15"),
            ("5 \u2212 13 = \u22128", "-8"),
            ("5-13= - 8", "-8"),
            ("\u22123", "-3"),
            ("–3", "-3"),
            ("x=8", "8"),
            ("\u200b8\u200b", "8"),
            ("٨", "8"),
            ("=+8", "+8"),
            ("8=8", "8"),
        ],
    )
    def test_a_sum_is_its_result(self, text: str, number: str) -> None:
        for options in ({}, {"charset": string.digits}, {"max_length": 2}):
            assert completed(text, math=True, **options) == number
            assert text_task(math=True, **options).check(TextSolution(number)) is None

    @pytest.mark.parametrize("text", ["5+3", "5=8", "5+3=", "eight", "5+3=8 or 9", "1 5"])
    def test_what_has_no_one_number_is_left_to_the_check(self, text: str) -> None:
        assert completed(text, math=True) == text
        assert ImageToText(PICTURE, math=True).check(TextSolution(text)) is not None

    @pytest.mark.parametrize("text", ["\u200b", "\ufeff\u00a0", "\u2060 \u200e"])
    def test_marks_alone_are_nothing(self, text: str) -> None:
        assert completed(text) == ""

    def test_texts_that_are_typed_the_same_agree(self) -> None:
        for is_sum, one, other in (
            (False, "１２", "12"),
            (False, "x\u200b7", "X7"),
            (True, "5+3=8", "8"),
        ):
            task = text_task(math=is_sum)
            assert task.agrees(TextSolution(one), TextSolution(other))

    @given(
        st.text(max_size=8),
        st.sampled_from([{}, {"length": 3}, {"math": True}, {"charset": "０1²\u200d"}, {"phrase": True}]),
    )
    def test_once_is_enough_and_nothing_right_is_made_wrong(self, text: str, options: dict[str, Any]) -> None:
        task = text_task(**options)
        typed = task.complete(TextSolution(text))
        assert task.complete(typed) == typed
        if task.check(TextSolution(text)) is None and completed(text):
            assert task.check(typed) is None


def solved(services: dict[str, Service], task: ImageToText, **route: Any) -> Result[TextSolution]:
    async def main(engine: Engine) -> Result[TextSolution]:
        return await engine.solve(task, 60, Progress())

    return run_with_services(services, main, **route)


class TestInASolve:
    @pytest.mark.parametrize(
        ("answer", "options", "text"),
        [
            ("１２３４５", {"length": 5, "charset": string.digits}, "12345"),
            ("x\u200b7kp2", {"length": 5}, "x7kp2"),
            ("5 + 3 = 8", {"math": True}, "8"),
        ],
    )
    def test_no_other_provider_is_paid(self, answer: str, options: dict[str, Any], text: str) -> None:
        services = {"main": Service(answer=answer), "spare": Service(answer=text)}
        result = solved(services, ImageToText(PICTURE, **options))
        assert (result.provider, result.solution.text) == ("main", text)
        assert services["spare"].jobs == 0

    def test_votes_are_counted_as_they_are_typed(self) -> None:
        services = {"main": Service(answer="１２"), "second": Service(answer="1\u200b2"), "spare": Service()}
        result = solved(services, ImageToText(PICTURE), agree=2)
        assert [(vote.solution.text, vote.agrees) for vote in result.votes] == [("12", True)] * 2
        assert services["spare"].jobs == 0

    def test_marks_alone_are_no_answer(self) -> None:
        services = {"main": Service(answer="\u200b"), "spare": Service()}
        result = solved(services, ImageToText(PICTURE))
        assert result.provider == "spare"
        assert "the answer is empty" in str(result.attempts[0].error)
