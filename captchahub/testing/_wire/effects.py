"""The failures of a reply on the wire, written as scripts of actions that the server plays."""

from __future__ import annotations

import zlib
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import ClassVar

import attrs

from captchahub.testing._wire.http import head, interim_head, render
from captchahub.testing.emulation import Answer

_BLOCK = 65_536

_JSON = {"Content-Type": "application/json"}


@attrs.frozen
class Pause:
    """Wait for ``seconds``, or until the client disconnects if None."""

    seconds: float | None


class Ending(Enum):
    """How a connection ends. A script without an ending keeps it open for the next call."""

    CLOSE = "close"
    RESET = "reset"


WireAction = bytes | Pause | Ending


class Effect(ABC):
    """Decides which reply is sent, and how."""

    kind: ClassVar[str]
    silent: ClassVar[bool] = False
    """Whether the client gets no HTTP status."""

    def reply(self, own: Answer, /) -> Answer:
        """Return the reply to send. ``own`` is the service's, or an empty 200 if it did not get the call."""
        return own

    def play(self, reply: Answer, /) -> Iterator[WireAction]:
        """Yield the actions that send the reply."""
        yield render(reply)


@attrs.frozen
class Drop(Effect):
    """The connection is closed without a reply."""

    kind = "drop"
    silent = True

    def play(self, _reply: Answer, /) -> Iterator[WireAction]:
        yield Ending.CLOSE


@attrs.frozen
class NoReply(Effect):
    """The connection stays open and no reply comes."""

    kind = "hang"
    silent = True

    def play(self, _reply: Answer, /) -> Iterator[WireAction]:
        yield Pause(None)


@attrs.frozen
class Reset(Effect):
    """The connection is reset (TCP RST) in the middle of the reply."""

    kind = "reset"

    def play(self, reply: Answer, /) -> Iterator[WireAction]:
        wire = render(reply)
        yield wire[: len(wire) // 2]
        yield Ending.RESET


@attrs.frozen
class Late(Effect):
    """The whole reply comes ``seconds`` late."""

    kind = "late"
    seconds: float

    def play(self, reply: Answer, /) -> Iterator[WireAction]:
        yield Pause(self.seconds)
        yield render(reply)


@attrs.frozen
class Interim(Effect):
    """Interim replies (1xx) come before the reply, in this order. Each has the headers."""

    kind = "interim"
    statuses: Sequence[int]
    headers: Mapping[str, str]

    def play(self, reply: Answer, /) -> Iterator[WireAction]:
        for status in self.statuses:
            yield interim_head(status, self.headers)
        yield render(reply)


@attrs.frozen
class OnlyInterim(Effect):
    """Interim replies (103) come endlessly, and the reply never does."""

    kind = "only-interim"

    def play(self, _reply: Answer, /) -> Iterator[WireAction]:
        while True:
            yield interim_head(103, {})


@attrs.frozen
class Drip(Effect):
    """The whole reply, status line included, comes one byte every ``interval`` seconds."""

    kind = "drip"
    interval: float

    def play(self, reply: Answer, /) -> Iterator[WireAction]:
        for byte in render(reply):
            yield bytes([byte])
            yield Pause(self.interval)


@attrs.frozen
class Truncate(Effect):
    """The body stops halfway, and the connection is closed."""

    kind = "truncated"

    def reply(self, own: Answer, /) -> Answer:
        announced = max(1, len(own.body))
        return _announcing(announced, attrs.evolve(own, body=own.body[: announced // 2]))

    def play(self, reply: Answer, /) -> Iterator[WireAction]:
        yield render(reply)
        yield Ending.CLOSE


@attrs.frozen
class WrongLength(Effect):
    """Content-Length is wrong by ``by`` bytes, and the connection stays open.

    If it is too high, the client waits for bytes that never come. If it is too low, the surplus bytes come
    before the connection's next reply.
    """

    kind = "wrong-length"
    by: int

    def reply(self, own: Answer, /) -> Answer:
        return _announcing(max(0, len(own.body) + self.by), own)

    def play(self, reply: Answer, /) -> Iterator[WireAction]:
        yield render(reply)
        if self.by > 0:
            yield Pause(None)


@attrs.frozen
class Oversize(Effect):
    """A body of ``size`` bytes of white space, made block by block to save memory.

    Its size is announced in Content-Length, or left open by sending chunks.
    """

    kind = "oversized"
    size: int
    announced: bool

    def reply(self, _own: Answer, /) -> Answer:
        if self.announced:
            return _announcing(self.size, Answer(200, b"", _JSON))
        return Answer(200, b"", _JSON | {"Transfer-Encoding": "chunked"})

    def play(self, reply: Answer, /) -> Iterator[WireAction]:
        yield head(reply)
        yield from _blanks(self.size) if self.announced else _chunks(_blanks(self.size))


@attrs.frozen
class Bomb(Effect):
    """A small compressed body that unpacks to ``size`` bytes of white space."""

    kind = "bomb"
    size: int

    def reply(self, _own: Answer, /) -> Answer:
        return Answer(200, b"", _JSON | {"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"})

    def play(self, reply: Answer, /) -> Iterator[WireAction]:
        yield head(reply)
        yield from _chunks(_gzipped(_blanks(self.size)))


@attrs.frozen
class BreakJson(Effect):
    """The HTTP reply is complete, but its JSON ends halfway."""

    kind = "broken-json"

    def reply(self, own: Answer, /) -> Answer:
        whole = own.body or b'{"error": false, "status": "success"}'
        return attrs.evolve(own, body=whole[: len(whole) // 2])


@attrs.frozen
class NotHttp(Effect):
    """Bytes that are not HTTP."""

    kind = "not-http"
    silent = True

    def play(self, _reply: Answer, /) -> Iterator[WireAction]:
        yield b"\x16\x03\x01 220 ready when you are\r\n\r\n"
        yield Ending.CLOSE


@attrs.frozen
class Replace(Effect):
    """Another reply replaces the service's own."""

    kind = "reply"
    answer: Answer

    def reply(self, _own: Answer, /) -> Answer:
        return self.answer


def _announcing(length: int, answer: Answer) -> Answer:
    return attrs.evolve(answer, headers={**answer.headers, "Content-Length": str(length)})


def _blanks(size: int) -> Iterator[bytes]:
    block = b" " * _BLOCK
    for _ in range(size // _BLOCK):
        yield block
    yield block[: size % _BLOCK]


def _chunks(blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        if block:
            yield b"%x\r\n%b\r\n" % (len(block), block)
    yield b"0\r\n\r\n"


def _gzipped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    for block in blocks:
        yield packer.compress(block)
    yield packer.flush()
