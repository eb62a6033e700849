"""Malformed and unexpected replies, to check that a plugin's readers survive anything a server can send.

The same seed yields the same replies. A test can be as short as this::

    for reply in hostile_replies(real_replies, words=["success", TOKEN], secrets=[TOKEN], runs=500):
        check_reading(lambda: provider.read_balance(reply), TOKEN)
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from captchahub.errors import ProviderError
from captchahub.provider import Created, Reply, Solved
from captchahub.testing._documents import JsonBody, read_document

__all__ = ["check_reading", "hostile_replies", "what_is_shown"]

_UNUSUAL_VALUES: Sequence[Any] = (
    *(None, True, False, 0, 1, -1, 1.5, 2**63, 10**400, -(10**30), math.inf, math.nan),
    *("", " ", "0", "-1", "1e999999999", "NaN", "null", "\ud800", "\u0661\u0662", "a\x00\x1b[31m\r\n\u202ez"),
    # The control characters that XML can contain.
    "a\u202e\x85\u2028z",
    *([], [None], [[[]]], [{}], {}, {"": None}, {"id": [1]}),
    # Too long to show.
    *("x" * 20_000, [0] * 2_000),
)

_UNUSUAL_BODIES: Sequence[bytes] = (
    *(b"", b" ", b"null", b"true", b"[]", b"{}", b'""', b"0", b"NaN", b"\x00", b"\xff\xfe{\x00}\x00"),
    *(
        b"\xef\xbb\xbf{}",
        b"<!DOCTYPE html><title>502</title>",
        b"OK",
        b"OK|",
        b"|||",
        b"{}{}",
        b'{"a":1,"a":2}',
    ),
    # Deeper than any parser's stack, and more digits than Python reads.
    *(b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5_000),
)

_STATUSES = (200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 0, 99, 999)

_RETRY_AFTER = (
    *("", "7", "-1", "1e9", "9" * 400, "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026"),
    *("Mon, 99999999999 Nov 1000000000000 99:99:99 +9999999999", "1 Foo 0 10:00:00 GMT", "\xb2", "\x00"),
)

_LOCATIONS = ("", "https://other.example/x", "//", "/login", "http://[", "http://[x]/", "\x00", "x" * 5_000)


def hostile_replies(
    real: Sequence[Reply],
    *,
    words: Sequence[str] = (),
    secrets: Sequence[str] = (),
    runs: int = 200,
    seed: int = 0,
) -> Iterator[Reply]:
    """Yield the real replies with every value removed or replaced, then ``runs`` random replies.

    ``real`` are replies of the service, in JSON, XML, a form, plain text or a binary format. ``words`` are
    values with a meaning in its dialect, such as the account's token. ``secrets`` are the texts that the
    engine hides in every reply that it passes to a provider.
    """
    for reply in _replies(real, words, runs, seed):
        yield attrs.evolve(reply, hidden=secrets)


def _replies(real: Sequence[Reply], words: Sequence[str], runs: int, seed: int) -> Iterator[Reply]:
    yield from (Reply(status, body) for body in _UNUSUAL_BODIES for status in (200, 500))
    yield from (
        Reply(status, headers={"Retry-After": value}) for value in _RETRY_AFTER for status in (429, 503)
    )
    yield from (Reply(302, headers={"Location": location}) for location in _LOCATIONS)
    for reply in real:
        yield from _variants(reply, words)
    random_replies = _RandomReplies(real, words, random.Random(seed))
    yield from (random_replies.next_reply() for _ in range(runs))


def what_is_shown(read: Callable[[], object]) -> str:
    """Return all text that reading a reply could show to a user or in a log.

    Solutions are left out, because they may be any text. Raises what ``read`` raises, except ProviderError.
    """
    try:
        value = read()
    except ProviderError as error:
        # A traceback shows the error's cause and context, unless it was raised from None.
        context = None if error.__suppress_context__ else error.__context__
        return f"{error} {error!r} {error.__cause__!r} {context!r}"
    if isinstance(value, Created):
        return repr((value.job_id, value.cost))
    return repr(value.cost) if isinstance(value, Solved) else repr(value)


def check_reading(read: Callable[[], object], token: str) -> None:
    """Check that reading a reply returns a value or raises a ProviderError that is safe to log.

    Raises AssertionError if the token or a control character shows, and whatever else ``read`` raises.
    """
    shown = what_is_shown(read)
    if token.lower() in shown.lower():
        raise AssertionError("the token shows in the value or in the error")
    if not shown.isprintable():
        raise AssertionError(f"control characters show, which would break a log: {shown!r}")


def _variants(reply: Reply, words: Sequence[str]) -> Iterator[Reply]:
    document = read_document(reply.body)
    bodies = list(document.distortions())
    for place, _ in document.values():
        bodies.append(document.without(place))
        bodies += (document.changed(place, value) for value in (*_UNUSUAL_VALUES, *words))
    yield from (Reply(reply.status, body, reply.headers) for body in bodies)
    for status in sorted(set(_STATUSES)):
        yield Reply(status, reply.body, reply.headers)


class _RandomReplies:
    """Makes random replies: damaged real ones, objects of random values, and random bytes."""

    def __init__(self, real: Sequence[Reply], words: Sequence[str], chance: random.Random) -> None:
        self._chance = chance
        self._real = [reply for reply in real if reply.body] or [Reply(200, b"{}")]
        documents = [read_document(reply.body) for reply in self._real]
        parts = [(document, part) for document in documents for part in document.values()]
        places = [place for document, (place, _) in parts if isinstance(document, JsonBody)]
        self._keys = sorted({str(step) for place in places for step in place} | {"id", "error"})
        self._values = [*_UNUSUAL_VALUES, *words, *(value for _, (_, value) in parts)]

    def next_reply(self) -> Reply:
        make = self._chance.choice((self._damaged, self._damaged, self._invented, self._bytes))
        return Reply(self._chance.choice(_STATUSES), make(), self._headers())

    def _damaged(self) -> bytes:
        body = self._chance.choice(self._real).body
        for _ in range(self._chance.randint(1, 3)):
            document = read_document(body)
            places = [place for place, _ in document.values()]
            if places:
                body = document.changed(self._chance.choice(places), self._value())
        return _maybe_cut(body, self._chance)

    def _invented(self) -> bytes:
        return _json({self._chance.choice(self._keys): self._value() for _ in range(6)})

    def _bytes(self) -> bytes:
        body = self._chance.choice(self._real).body if self._chance.random() < 0.7 else b""
        at = self._chance.randint(0, len(body))
        return body[:at] + self._chance.randbytes(self._chance.randint(0, 30)) + body[at + 3 :]

    def _value(self, depth: int = 0) -> object:
        if depth < 3 and self._chance.random() < 0.3:
            inside = [self._value(depth + 1) for _ in range(self._chance.randint(0, 4))]
            if self._chance.random() < 0.5:
                return inside
            return {self._chance.choice(self._keys): value for value in inside}
        return self._chance.choice(self._values)

    def _headers(self) -> Mapping[str, str]:
        known = {
            "Retry-After": _RETRY_AFTER,
            "Location": _LOCATIONS,
            "Content-Type": ("text/html", "", "\xff"),
        }
        return {
            name: self._chance.choice(values) for name, values in known.items() if self._chance.random() < 0.3
        }


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _maybe_cut(body: bytes, chance: random.Random) -> bytes:
    return body[: chance.randint(0, len(body))] if chance.random() < 0.2 else body
