"""Whatever a server sends, reading it gives a value or a ProviderError, and the token never shows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from captchahub_omocaptcha import OmoProvider
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captchahub import Image, ImageToText, PhoneSlide
from captchahub.provider import Job, Reply
from captchahub.testing.hostile import check_reading, headers, replies, what_is_shown

TOKEN = "tOkEn-7f3a91c2e8"
# Slow data generation on a busy machine is no fault of what is tested.
fuzzed = settings(
    max_examples=int(os.environ.get("CAPTCHAHUB_FUZZ_EXAMPLES", "400")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

WORDS = (
    TOKEN,
    f"Invalid api token {TOKEN}.",
    "success",
    "running",
    "fail",
    "30",
    "1|2|3|4",
    "98%",
    "15s",
    "Job not found",
)
KEYS = (
    "error",
    "success",
    "message",
    "job_id",
    "status",
    "result",
    "balance",
    "service",
    "id",
    "name",
    "price",
)

REAL: list[dict[str, Any]] = [
    {"error": False, "job_id": 123456, "message": "Create job success."},
    {"error": True, "message": "Invalid api token."},
    {"error": False, "status": "success", "result": "abcxyz"},
    {"error": False, "status": "success", "result": "12.5|340|200|340"},
    {"error": False, "status": "running", "result": None},
    {"error": False, "status": "fail", "result": None},
    {"error": False, "balance": "0.00000", "message": "Get balance success."},
    {
        "error": False,
        "service": [{"id": 30, "name": "x", "price": "0.00055", "avg_success": "98%", "avg_time": "15s"}],
    },
]


def written(value: object) -> bytes:
    return json.dumps(value).encode()


def readers(provider: OmoProvider, picture: Image) -> list[Callable[[Reply], object]]:
    return [
        lambda reply: provider.read_created(ImageToText(picture), reply),
        lambda reply: provider.read_created(PhoneSlide(picture), reply),
        lambda reply: provider.read_result(Job(123456, "image-to-text"), reply),
        lambda reply: provider.read_result(Job("123456", "phone-slide"), reply),
        lambda reply: provider.read_result(Job(1, "rotate"), reply),
        provider.read_balance,
        provider.read_services,
    ]


def check(provider: OmoProvider, picture: Image, reply: Reply) -> None:
    for read in readers(provider, picture):
        check_reading(partial(read, reply), TOKEN)


@fuzzed
@given(reply=replies(REAL, keys=KEYS, words=WORDS))
def test_any_reply_is_read_or_refused(provider: OmoProvider, picture: Image, reply: Reply) -> None:
    check(provider, picture, reply)


@fuzzed
@given(
    headers=headers(),
    status=st.integers(200, 599),
    body=st.sampled_from([b"", b'{"error":true,"message":"Too many requests"}', b'{"error":true}']),
)
def test_any_header_is_read_or_passed_over(
    provider: OmoProvider, picture: Image, headers: dict[str, str], status: int, body: bytes
) -> None:
    check(provider, picture, Reply(status, body, headers))


@fuzzed
@given(message=st.text(max_size=40), echo=st.sampled_from([TOKEN, TOKEN.upper(), TOKEN.lower()]))
def test_a_token_echoed_anywhere_in_a_message_or_a_result_is_masked(
    provider: OmoProvider, picture: Image, message: str, echo: str
) -> None:
    words = f"{message}{echo}{message}"
    echoes: list[dict[str, object]] = [
        {"error": True, "message": words},
        {"error": False, "status": "fail", "message": words},
        {"error": False, "status": words, "result": None},
        {"error": False, "status": "success", "result": f"{words}|"},
        {"error": False, "job_id": words, "balance": words, "service": words},
        {"error": False, "service": [{"id": words, "name": words}]},
    ]
    for answer in echoes:
        check(provider, picture, Reply(200, written(answer)))


@fuzzed
@given(words=st.text())
def test_words_of_any_kind_are_shown_short_and_on_one_line(provider: OmoProvider, words: str) -> None:
    reply = Reply(200, written({"error": True, "message": words * 50}))
    shown = what_is_shown(lambda: provider.read_balance(reply))
    assert len(shown) < 1000
    assert shown.isprintable()
