"""What the plugin adds besides its provider: a check of answers, and a command."""

from __future__ import annotations

import json

import pytest
from captchahub_createtask import captchahub_check_solution
from captchahub_createtask.command import dialects
from captchahub_createtask.dialects import DIALECTS
from click.testing import CliRunner

from captchahub import Point, SlideSolution, TextSolution


@pytest.mark.parametrize("text", ["ERROR_CAPTCHA_UNSOLVABLE", "ERROR_NO_SLOT_AVAILABLE"])
def test_an_error_code_is_not_the_text_of_a_picture(text: str) -> None:
    assert captchahub_check_solution(TextSolution(text)) == (
        f"{text} is an error code of the service, not the text of a picture"
    )


@pytest.mark.parametrize("text", ["ERROR", "error_x", "ERROR_", "ERROR_1", "x7kp2", "AN ERROR_CODE_HERE"])
def test_any_other_text_may_be_one(text: str) -> None:
    assert captchahub_check_solution(TextSolution(text)) is None


def test_other_solutions_are_none_of_its_business() -> None:
    assert captchahub_check_solution(SlideSolution(Point(1, 2), Point(3, 4))) is None


def test_the_command_lists_every_dialect_with_what_it_takes() -> None:
    lines = CliRunner().invoke(dialects).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(DIALECTS)
    assert lines[2] == "capsolver      https://api.capsolver.com; takes no options"
    assert "base_url must be configured" in lines[-1]


def test_the_command_prints_all_facts_as_json() -> None:
    facts = json.loads(CliRunner().invoke(dialects, ["--json"]).stdout)
    assert facts["2captcha"]["max_bytes"] == 100_000
    assert list(facts) == list(DIALECTS)
