"""Whatever a server sends, reading it gives a value or a ProviderError, and the key never shows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from captchahub_createtask import CreateTaskProvider
from captchahub_createtask.dialects import DIALECTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captchahub import Image, ImageToText
from captchahub.provider import Job, Reply, Request
from captchahub.testing.hostile import check_reading, headers, replies, what_is_shown

KEY = "kEy-7f3a91c2e8-b5d0"
# Slow data generation on a busy machine is no fault of what is tested.
fuzzed = settings(
    max_examples=int(os.environ.get("CAPTCHAHUB_FUZZ_EXAMPLES", "400")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

WORDS = (
    KEY,
    f"no such key {KEY}",
    "ready",
    "processing",
    "failed",
    "success",
    "ERROR_ZERO_BALANCE",
    "ERROR_NO_SLOT_AVAILABLE",
    "ERROR_CAPTCHA_UNSOLVABLE",
    "ERROR_TOO_MUCH_REQUESTS",
    "CAPCHA_NOT_READY",
    "ERROR_INTERNAL_SERVER_ERROR",
    "0.000700",
)
KEYS = (
    "errorId",
    "errorCode",
    "errorDescription",
    "taskId",
    "status",
    "solution",
    "text",
    "cost",
    "balance",
)

REAL: list[dict[str, Any]] = [
    {"errorId": 0, "taskId": 72345678901},
    {"errorId": 0, "errorCode": "", "errorDescription": "", "taskId": "37223a89-06ed-442c-a0b8-22067b79c5b4"},
    {"errorId": 0, "status": "ready", "solution": {"text": "44795sds"}, "taskId": "37223a89-06ed"},
    {"errorId": 0, "status": "ready", "solution": {"text": "x7kp2"}, "cost": "0.000700", "solveCount": "0"},
    {"errorId": 0, "status": "processing"},
    {"errorId": 0, "status": "failed"},
    {"errorId": 0, "status": "success"},
    {"errorId": 0, "balance": 12.3456, "voucherBalance": 0},
    {"errorId": 1, "errorCode": "ERROR_KEY_DOES_NOT_EXIST", "errorDescription": "no such key"},
    {"errorId": 12, "errorCode": "ERROR_CAPTCHA_UNSOLVABLE", "errorDescription": "nobody could read it"},
]


def written(value: object) -> bytes:
    return json.dumps(value).encode()


def readers(provider: CreateTaskProvider, picture: Image) -> list[Callable[[Reply], object]]:
    return [
        lambda reply: provider.read_created(ImageToText(picture), reply),
        lambda reply: provider.read_result(Job(72345678901, "image-to-text"), reply),
        lambda reply: provider.read_result(Job("37223a89", "image-to-text"), reply),
        lambda reply: provider.read_result(Job(1, "rotate"), reply),
        provider.read_balance,
        provider.read_report,
    ]


def check(provider: CreateTaskProvider, picture: Image, reply: Reply) -> None:
    for read in readers(provider, picture):
        check_reading(partial(read, reply), KEY)


@fuzzed
@given(reply=replies(REAL, keys=KEYS, words=WORDS))
def test_any_reply_is_read_or_refused(provider: CreateTaskProvider, picture: Image, reply: Reply) -> None:
    check(provider, picture, reply)


@fuzzed
@given(
    headers=headers(),
    status=st.integers(200, 599),
    code=st.sampled_from(["ERROR_TOO_MUCH_REQUESTS", "ERROR_NO_SLOT_AVAILABLE", "ERROR_INTERNAL", ""]),
)
def test_any_header_is_read_or_passed_over(
    provider: CreateTaskProvider, picture: Image, headers: dict[str, str], status: int, code: str
) -> None:
    check(provider, picture, Reply(status, written({"errorId": 1, "errorCode": code}), headers))


@fuzzed
@given(words=st.text(max_size=40), echo=st.sampled_from([KEY, KEY.upper(), KEY.lower()]))
def test_a_key_echoed_anywhere_in_an_answer_is_masked(
    provider: CreateTaskProvider, picture: Image, words: str, echo: str
) -> None:
    echoed = f"{words}{echo}{words}"
    echoes: list[dict[str, object]] = [
        {"errorId": 1, "errorCode": echoed},
        {"errorId": 1, "errorDescription": echoed},
        {"errorId": 0, "status": "failed", "taskId": 1, "errorDescription": echoed},
        {"errorId": 0, "status": echoed, "taskId": echoed, "balance": echoed, "cost": echoed},
        {"errorId": 0, "status": "ready", "solution": echoed, "taskId": 1},
    ]
    for answer in echoes:
        check(provider, picture, Reply(200, written(answer)))


@fuzzed
@given(words=st.text())
def test_words_of_any_kind_are_shown_short_and_on_one_line(provider: CreateTaskProvider, words: str) -> None:
    reply = Reply(200, written({"errorId": 1, "errorCode": words * 50, "errorDescription": words * 50}))
    shown = what_is_shown(lambda: provider.read_balance(reply))
    assert len(shown) < 1000
    assert shown.isprintable()


lengths = st.none() | st.integers(3, 10**6)
tasks = st.fixed_dictionaries(
    {
        "length": lengths,
        "charset": st.none() | st.text(min_size=1, max_size=80).filter(str.strip),
        "case_sensitive": st.none() | st.booleans(),
        "phrase": st.none() | st.booleans(),
        "language": st.none() | st.sampled_from(["en", "ru", "zh-Hans", "kk-KZ"]),
        "hint": st.none() | st.text(min_size=1, max_size=20).filter(str.strip),
    }
)


@fuzzed
@given(options=tasks, dialect=st.sampled_from(list(DIALECTS)))
def test_any_task_is_ordered_in_every_dialect_and_what_is_sent_was_given(
    configure: Callable[..., CreateTaskProvider], picture: Image, options: dict[str, Any], dialect: str
) -> None:
    task = ImageToText(picture, **options)
    provider = configure(dialect)
    request = provider.create_job(task)
    assert isinstance(request, Request)
    assert json.loads(request.body)["task"][DIALECTS[dialect].image_field] == picture.base64  # type: ignore[index]  # pyright: ignore[reportArgumentType] - one of its keys
    assert set(provider.sent_options(task)) <= set(task.options)
