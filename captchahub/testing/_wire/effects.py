"""What can happen to a reply on the wire, written as scripts of steps; the server plays them."""

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
    """Wait so many seconds; None means until the client leaves."""

    seconds: float | None


class Ending(Enum):
    """How a connection ends; a script without one keeps it open for the next call."""

    CLOSE = "close"
    RESET = "reset"


Step = bytes | Pause | Ending


class Effect(ABC):
    """What becomes of a reply: which one is sent, and how."""

    kind: ClassVar[str]
    silent: ClassVar[bool] = False
    """Whether no HTTP status ever reaches the client."""

    def reply(self, own: Answer, /) -> Answer:
        """The reply to send. ``own`` is the service's, or an empty 200 where it never had the call."""
        return own

    def play(self, reply: Answer, /) -> Iterator[Step]:
        """The reply's way over the wire."""
        yield render(reply)


@attrs.frozen
class Drop(Effect):
    """The connection is closed without a reply."""

    kind = "drop"
    silent = True

    def play(self, _reply: Answer, /) -> Iterator[Step]:
        yield Ending.CLOSE


@attrs.frozen
class Hang(Effect):
    """The connection stays open and no reply comes."""

    kind = "hang"
    silent = True

    def play(self, _reply: Answer, /) -> Iterator[Step]:
        yield Pause(None)


@attrs.frozen
class Reset(Effect):
    """The connection is torn down (TCP RST) in the middle of the reply."""

    kind = "reset"

    def play(self, reply: Answer, /) -> Iterator[Step]:
        wire = render(reply)
        yield wire[: len(wire) // 2]
        yield Ending.RESET


@attrs.frozen
class Late(Effect):
    """The whole reply comes ``seconds`` late."""

    kind = "late"
    seconds: float

    def play(self, reply: Answer, /) -> Iterator[Step]:
        yield Pause(self.seconds)
        yield render(reply)


@attrs.frozen
class Interim(Effect):
    """Interim replies (1xx) come ahead of the reply, in this order; each carries the headers."""

    kind = "interim"
    statuses: Sequence[int]
    headers: Mapping[str, str]

    def play(self, reply: Answer, /) -> Iterator[Step]:
        for status in self.statuses:
            yield interim_head(status, self.headers)
        yield render(reply)


@attrs.frozen
class OnlyInterim(Effect):
    """Interim replies (103) come one after the other, and the reply never does."""

    kind = "only-interim"

    def play(self, _reply: Answer, /) -> Iterator[Step]:
        while True:
            yield interim_head(103, {})


@attrs.frozen
class Drip(Effect):
    """The reply comes one byte at a time, ``interval`` seconds apart, its status line included."""

    kind = "drip"
    interval: float

    def play(self, reply: Answer, /) -> Iterator[Step]:
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

    def play(self, reply: Answer, /) -> Iterator[Step]:
        yield render(reply)
        yield Ending.CLOSE


@attrs.frozen
class WrongLength(Effect):
    """Content-Length is off by so many bytes; the connection stays open.

    Announced too many: the client waits for bytes that never come. Announced too few: the surplus stands
    in front of the connection's next reply.
    """

    kind = "wrong-length"
    by: int

    def reply(self, own: Answer, /) -> Answer:
        return _announcing(max(0, len(own.body) + self.by), own)

    def play(self, reply: Answer, /) -> Iterator[Step]:
        yield render(reply)
        if self.by > 0:
            yield Pause(None)


@attrs.frozen
class Oversize(Effect):
    """A body of ``size`` bytes of white space, which is never held in memory.

    Its size is announced in Content-Length, or left open (chunked).
    """

    kind = "oversized"
    size: int
    announced: bool

    def reply(self, _own: Answer, /) -> Answer:
        if self.announced:
            return _announcing(self.size, Answer(200, b"", _JSON))
        return Answer(200, b"", _JSON | {"Transfer-Encoding": "chunked"})

    def play(self, reply: Answer, /) -> Iterator[Step]:
        yield head(reply)
        yield from _blanks(self.size) if self.announced else _chunks(_blanks(self.size))


@attrs.frozen
class Bomb(Effect):
    """A small compressed body that unpacks to ``size`` bytes of white space."""

    kind = "bomb"
    size: int

    def reply(self, _own: Answer, /) -> Answer:
        return Answer(200, b"", _JSON | {"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"})

    def play(self, reply: Answer, /) -> Iterator[Step]:
        yield head(reply)
        yield from _chunks(_gzipped(_blanks(self.size)))


@attrs.frozen
class BreakJson(Effect):
    """The body is whole for HTTP, but its JSON ends halfway."""

    kind = "broken-json"

    def reply(self, own: Answer, /) -> Answer:
        whole = own.body or b'{"error": false, "status": "success"}'
        return attrs.evolve(own, body=whole[: len(whole) // 2])


@attrs.frozen
class Garble(Effect):
    """Bytes that are not HTTP."""

    kind = "not-http"
    silent = True

    def play(self, _reply: Answer, /) -> Iterator[Step]:
        yield b"\x16\x03\x01 220 ready when you are\r\n\r\n"
        yield Ending.CLOSE


@attrs.frozen
class Instead(Effect):
    """Another reply stands in for the service's own."""

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
