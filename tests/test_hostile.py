"""Hostile replies find what a careless reader gets wrong, and let a careful one pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import Phase, find, given, settings

from captchahub import MalformedReply, ProviderError, TextSolution
from captchahub.provider import Created, Pending, Reply, Solved
from captchahub.testing.hostile import check_reading, headers, replies, what_is_shown

TOKEN = "tOkEn-7f3a91c2e8"
REPLIES = replies(
    [{"job_id": 7, "status": "done"}], keys=["job_id", "status"], words=["done", f"not {TOKEN}"]
)


def careful(reply: Reply) -> Pending:
    if not isinstance(reply.json_object().get("job_id"), int):
        raise MalformedReply("there is no job_id")
    return Pending("seen")


@given(reply=REPLIES)
def test_a_careful_reader_passes(reply: Reply) -> None:
    check_reading(lambda: careful(reply), TOKEN)


def reads_on(reply: Reply) -> object:
    return json.loads(reply.body)["status"].lower()


def shows_all(reply: Reply) -> object:
    return reply.json_object()


@pytest.mark.parametrize("read", [reads_on, shows_all])
def test_a_reader_that_trusts_the_service_fails(read: Callable[[Reply], object]) -> None:
    def fails(reply: Reply) -> bool:
        if len(reply.body) > 1000:
            return False  # Hypothesis warns of what is too long to print
        try:
            check_reading(lambda: read(reply), TOKEN)
        except Exception:  # noqa: BLE001 - whichever it is
            return True
        return False

    # The first that is found will do: no time is spent on a smaller one.
    searched = settings(database=None, max_examples=5000, phases=[Phase.generate])
    find(REPLIES, fails, settings=searched)


@given(headers())
def test_headers_can_stand_in_a_reply(named: dict[str, str]) -> None:
    assert Reply(200, headers=named).retry_after is None or "retry-after" in map(str.lower, named)


def refuse(words: str) -> object:
    raise ProviderError(words)


def wrap(words: str) -> object:
    try:
        raise ValueError(words)
    except ValueError as error:
        raise ProviderError("no") from error


@pytest.mark.parametrize("read", [refuse, wrap, Pending, Created])
def test_the_token_is_found_wherever_it_shows(read: Callable[[str], object]) -> None:
    for token in (TOKEN, TOKEN.upper()):
        with pytest.raises(AssertionError, match="the token shows"):
            check_reading(partial(read, f"no {token}"), TOKEN)


def test_what_would_break_a_log_is_found() -> None:
    with pytest.raises(AssertionError, match="not fit for a log"):
        check_reading(lambda: refuse("a\x1b[31m"), TOKEN)


def test_a_solution_may_be_any_text() -> None:
    assert TOKEN not in what_is_shown(lambda: Solved(TextSolution(TOKEN)))
    assert TOKEN not in what_is_shown(lambda: Created(7, TextSolution(TOKEN)))


def test_an_exception_that_is_no_providers_error_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        check_reading(lambda: 1 // 0, TOKEN)
