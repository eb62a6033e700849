"""The sandbox's HTTP/1.1 (RFC 9112): reads calls and renders answers."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import BinaryIO

import attrs
from requests.structures import CaseInsensitiveDict

from captchahub.testing.emulation import Answer, Call

MAX_BODY = 20_000_000
"""The maximum size of a request body, in bytes."""

_MAX_LINE = 65_536


class BadRequest(Exception):
    """A request that can't be read. ``status`` is the status to reply with."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@attrs.frozen
class Incoming:
    """A call, and whether its connection stays open for the next one."""

    call: Call
    keep_alive: bool


def read_call(
    stream: BinaryIO, now: Callable[[], float], send_continue: Callable[[], None]
) -> Incoming | None:
    """Read the next call on a connection. Return None if the client has disconnected.

    ``send_continue`` is called if the client waits for a status 100 before it sends the body. Raises
    BadRequest.
    """
    line = _line(stream)
    if line is None:
        return None
    method, target, version = _request_line(line)
    headers = _headers(stream)
    if headers.get("Expect", "").lower() == "100-continue":
        send_continue()
    body = _body(stream, headers)
    if body is None:
        return None
    # The answer to HEAD has no body, and HTTP/1.0 clients expect the connection to be closed.
    is_persistent = version == "HTTP/1.1" and method != "HEAD"
    keep_alive = is_persistent and headers.get("Connection", "").lower() != "close"
    return Incoming(Call(method, target, headers, body, now()), keep_alive)


def _line(stream: BinaryIO) -> bytes | None:
    line = stream.readline(_MAX_LINE + 1)
    if len(line) > _MAX_LINE:
        raise BadRequest(HTTPStatus.REQUEST_URI_TOO_LONG, "the line is too long")
    return line if line.endswith(b"\n") else None


def _request_line(line: bytes) -> tuple[str, str, str]:
    words = line.decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "this is not an HTTP/1.1 request")
    return words[0], words[1], words[2]


def _headers(stream: BinaryIO) -> CaseInsensitiveDict[str]:
    try:
        return CaseInsensitiveDict(http.client.parse_headers(stream).items())
    except http.client.HTTPException as error:
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, str(error)) from None


def _body(stream: BinaryIO, headers: CaseInsensitiveDict[str]) -> bytes | None:
    if headers.get("Transfer-Encoding", "").lower() == "chunked":
        return _chunked_body(stream)
    size = _size(headers.get("Content-Length", "0"), base=10)
    body = stream.read(size)
    return body if len(body) == size else None


def _chunked_body(stream: BinaryIO) -> bytes | None:
    body = bytearray()
    while True:
        line = _line(stream)
        if line is None:
            return None
        size = _size(line.split(b";")[0].strip().decode("latin-1"), base=16)
        body += stream.read(size)
        _check_size(len(body))
        ending = _line(stream)
        if size == 0 or ending is None:
            return None if ending is None else bytes(body)


def _size(text: str, base: int) -> int:
    try:
        size = int(text, base)
    except ValueError:
        size = -1
    if size < 0:
        raise BadRequest(HTTPStatus.BAD_REQUEST, f"{text!r} is not a number of bytes")
    return _check_size(size)


def _check_size(size: int) -> int:
    if size > MAX_BODY:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY} bytes")
    return size


def head(answer: Answer) -> bytes:
    """Render the status line and headers. Content-Length is the body's unless the answer sets its own."""
    headers = CaseInsensitiveDict(answer.headers)
    if "Transfer-Encoding" not in headers:
        headers.setdefault("Content-Length", str(len(answer.body)))
    return interim_head(answer.status, headers)


def interim_head(status: int, headers: Mapping[str, str]) -> bytes:
    """Render a status line and exactly these headers, which is a whole interim reply (1xx)."""
    lines = [f"HTTP/1.1 {status} {_reason(status)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def render(answer: Answer) -> bytes:
    """Render the whole reply."""
    return head(answer) + answer.body


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
