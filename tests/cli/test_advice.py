"""Advice about errors: the command line prints commands, where the library names calls of Python."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from captchahub import errors
from captchahub.cli.advice import in_commands
from captchahub.errors import ProviderError
from captchahub.testing import Fault, Sandbox
from tests.cli.running import TOKEN, run


def advice() -> Iterator[str]:
    yield from (
        one.advice
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, ProviderError)
    )
    yield errors.INSTEAD_OF_WAITING
    yield "fix that, then call hub.revive('omo')"


@pytest.mark.parametrize("text", sorted(set(advice())))
def test_no_advice_of_the_command_line_names_a_call_of_python(text: str) -> None:
    assert re.search(r"hub\.|share=|\(", in_commands(text, lambda: "7")) is None


def test_a_wrong_answer_is_reported_by_the_number_of_its_job(shots: Path) -> None:
    result = run("solve", str(shots / "ABC.png"), "--length", "9")
    assert "jobs report 1 --wrong" in result.stderr


def test_a_job_in_doubt_is_settled_by_its_number(shots: Path, service: Sandbox) -> None:
    service.add_faults(Fault.drop(handled=True))
    result = run("solve", str(shots / "ABC.png"))
    assert "settle it with " in result.stderr
    assert "jobs resolve 1 STATE" in result.stderr


def test_an_account_that_is_out_needs_no_call_of_python(home: Path, shots: Path) -> None:
    configuration = home / "captchahub.yaml"
    configuration.write_text(configuration.read_text().replace(TOKEN, "wrong"))
    result = run("batch", str(shots), "-o", "out.jsonl", "--concurrency", "1")
    assert "stopped early" in result.stderr
    assert "hub." not in result.stderr
