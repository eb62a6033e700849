"""Hostile replies reveal a careless reader, and accept a careful one."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from captchahub import MalformedReply, ProviderError, TextSolution
from captchahub.provider import Created, Pending, Reply, Solved
from captchahub.testing import json_reply
from captchahub.testing.hostile import check_reading, hostile_replies, what_is_shown

TOKEN = "tOkEn-7f3a91c2e8"
REAL = [json_reply({"job_id": 7, "status": "done"}), Reply(200, b"OK|done")]
REPLIES = list(hostile_replies(REAL, words=["done", f"not {TOKEN}"], secrets=[TOKEN], runs=300))


def careful(reply: Reply) -> Pending:
    if not isinstance(reply.json_object().get("job_id"), int):
        raise MalformedReply("there is no job_id")
    return Pending("seen")


def test_a_careful_reader_passes() -> None:
    for reply in REPLIES:
        check_reading(partial(careful, reply), TOKEN)


def reads_on(reply: Reply) -> object:
    return json.loads(reply.body)["status"].lower()


def shows_all(reply: Reply) -> object:
    return reply.json_object()


def reads_a_pause(reply: Reply) -> object:
    return int(reply.headers.get("retry-after", "0"))


def reads_words(reply: Reply) -> object:
    return Pending(reply.body.decode(errors="replace").split("|")[1] if b"OK" in reply.body else "")


@pytest.mark.parametrize("read", [reads_on, shows_all, reads_a_pause, reads_words])
def test_a_reader_that_trusts_the_service_fails(read: Callable[[Reply], object]) -> None:
    def fails(reply: Reply) -> bool:
        try:
            check_reading(lambda: read(reply), TOKEN)
        except Exception:  # noqa: BLE001 - whichever it is
            return True
        return False

    assert any(map(fails, REPLIES))


def test_every_part_of_a_real_reply_is_lost_once_and_takes_every_odd_value() -> None:
    real = {"job": {"id": 7}, "list": [1, "two"]}
    bodies = [reply.body for reply in hostile_replies([json_reply(real)], words=["ready"], runs=0)]
    wrongs: list[dict[str, Any]] = [
        {"job": {}, "list": [1, "two"]},
        {"job": {"id": 7}, "list": [1]},
        {"list": [1, "two"]},
        {"job": {"id": None}, "list": [1, "two"]},
        {"job": "ready", "list": [1, "two"]},
        {"job": {"id": 7}, "list": [1, 10**400]},
    ]
    for wrong in wrongs:
        assert json.dumps(wrong).encode() in bodies


def test_a_seed_gives_the_same_replies_again() -> None:
    first, again, other = (
        [reply.body for reply in hostile_replies(REAL, runs=50, seed=seed)] for seed in (3, 3, 4)
    )
    assert first == again != other


def test_every_header_can_stand_in_a_reply() -> None:
    assert {reply.retry_after for reply in REPLIES} > {None, 7.0}


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
    with pytest.raises(AssertionError, match="control characters show, which would break a log"):
        check_reading(lambda: refuse("a\x1b[31m"), TOKEN)


def test_a_solution_may_be_any_text() -> None:
    assert TOKEN not in what_is_shown(lambda: Solved(TextSolution(TOKEN)))
    assert TOKEN not in what_is_shown(lambda: Created(7, TextSolution(TOKEN)))


def test_an_exception_that_is_no_providers_error_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        check_reading(lambda: 1 // 0, TOKEN)
