"""Whatever a server sends, reading it gives a value or a ProviderError, and the token never shows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from captchahub_omocaptcha import OmoProvider
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captchahub import Image, ImageToText, PhoneSlide
from captchahub.errors import ProviderError
from captchahub.provider import Job, Reply, Solved

TOKEN = "tOkEn-7f3a91c2e8"
# Slow data generation on a busy machine is no fault of what is tested.
fuzzed = settings(
    max_examples=int(os.environ.get("CAPTCHAHUB_FUZZ_EXAMPLES", "200")),
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
    "1e999999999",
    "Job not found",
    "\ud800",
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

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(WORDS)
    | st.sampled_from([10**400, -(10**30), 0, 1])
)
json_values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
answers = st.dictionaries(st.sampled_from(KEYS), json_values, max_size=6)

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

statuses = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 408, 422, 429, 500, 503]) | st.integers(
    0, 999
)
header_values = st.text(st.characters(max_codepoint=255), max_size=30)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real reply with one field changed, lost or added, or with its bytes damaged."""
    answer = dict(draw(st.sampled_from(REAL)))
    key = draw(st.sampled_from([*answer, *KEYS]))
    if draw(st.booleans()):
        answer[key] = draw(json_values)
    else:
        answer.pop(key, None)
    body = json.dumps(answer).encode()
    if draw(st.booleans()):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=3)) + body[at + draw(st.integers(0, 3)) :]
    return body


def written(value: object) -> bytes:
    return json.dumps(value).encode()


bodies = (
    st.binary(max_size=200)
    | json_values.map(written)
    | answers.map(written)
    | mutated()
    # Deeper than any parser's stack, and more digits than Python reads.
    | st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b'{"job_id":' + b"9" * 5000 + b"}"])
)


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


def shown_by(read: Callable[[Reply], object], reply: Reply) -> str:
    """All that a person or a log could see of reading a reply, but for a solution: that may be any text."""
    try:
        value = read(reply)
    except ProviderError as error:
        # A chain of causes is printed with the error.
        return f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"
    return "" if isinstance(value, Solved) else repr(value)


def check(provider: OmoProvider, picture: Image, reply: Reply) -> None:
    for read in readers(provider, picture):
        shown = shown_by(read, reply)
        assert TOKEN.lower() not in shown.lower()
        assert shown.isprintable()


@fuzzed
@given(body=bodies, status=statuses)
def test_any_body_at_any_status_is_read_or_refused(
    provider: OmoProvider, picture: Image, body: bytes, status: int
) -> None:
    check(provider, picture, Reply(status, body))


@fuzzed
@given(answer=answers)
def test_any_object_in_the_words_of_the_dialect_is_read_or_refused(
    provider: OmoProvider, picture: Image, answer: dict[str, object]
) -> None:
    check(provider, picture, Reply(200, written(answer)))


@fuzzed
@given(body=mutated(), status=statuses)
def test_a_real_reply_with_any_damage_is_read_or_refused(
    provider: OmoProvider, picture: Image, body: bytes, status: int
) -> None:
    check(provider, picture, Reply(status, body))


dates = st.tuples(
    st.sampled_from(["Mon, ", "", "Xyz, "]),
    st.integers(-5, 99999999999),
    st.sampled_from([" Nov ", " Foo ", " "]),
    st.integers(0, 10**12),
    st.sampled_from([" 10:00:00 GMT", " 99:99:99 +9999999999", " 1", ""]),
).map(lambda parts: "".join(map(str, parts)))


@st.composite
def headers(draw: st.DrawFn) -> dict[str, str]:
    """Any headers, among them the two that are read."""
    places = st.sampled_from(["https://other.example/x", "//", "/login", "http://[", "http://[x]/"])
    known = {"Retry-After": draw(header_values | dates), "Location": draw(header_values | places)}
    return draw(st.dictionaries(st.text(max_size=10), header_values, max_size=3)) | known


@fuzzed
@given(
    headers=headers(),
    status=statuses,
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
    shown = shown_by(provider.read_balance, reply)
    assert len(shown) < 1000
    assert shown.isprintable()
