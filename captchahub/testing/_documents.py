"""Reads bodies of requests and replies as documents whose values can be changed one at a time.

A service may use JSON, XML, a form, a line of text or a binary format. :func:`read_document` finds out
which, so that a check can put a value into each place of any reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Literal, Protocol
from urllib.parse import parse_qsl, urlencode

import attrs

from captchahub.testing._json_values import Path, changed, values_in, without
from captchahub.testing._xml_body import XmlBody, as_text, read_xml


class Document(Protocol):
    """A body whose values can be changed one at a time."""

    def values(self) -> Iterator[tuple[Path, object]]:
        """Yield every value with its place."""
        ...

    def changed(self, place: Path, value: object) -> bytes:
        """Return the body with another value in one place."""
        ...

    def without(self, place: Path) -> bytes:
        """Return the body without the value in one place."""
        ...

    def distortions(self) -> Iterator[bytes]:
        """Return bodies with the same values whose structure is not the usual one."""
        ...


@attrs.frozen
class JsonBody:
    """A JSON document. Its values keep their types."""

    top: object

    def values(self) -> Iterator[tuple[Path, object]]:
        """See :class:`Document`."""
        return values_in(self.top)

    def changed(self, place: Path, value: object) -> bytes:
        """See :class:`Document`."""
        return json.dumps(changed(self.top, place, value)).encode()

    def without(self, place: Path) -> bytes:
        """See :class:`Document`."""
        return json.dumps(without(self.top, place)).encode()

    def distortions(self) -> Iterator[bytes]:
        """See :class:`Document`."""
        yield json.dumps([self.top]).encode()


@attrs.frozen
class FormBody:
    """A form as browsers send it, ``state=done&text=x7kp2``. A place is the name of a field."""

    fields: Sequence[tuple[str, str]]

    def values(self) -> Iterator[tuple[Path, object]]:
        """See :class:`Document`."""
        return (((name,), value) for name, value in self.fields)

    def changed(self, place: Path, value: object) -> bytes:
        """See :class:`Document`."""
        new = as_text(value)
        return _form((name, new if (name,) == place else old) for name, old in self.fields)

    def without(self, place: Path) -> bytes:
        """See :class:`Document`."""
        return _form(field for field in self.fields if (field[0],) != place)

    def distortions(self) -> Iterator[bytes]:
        """See :class:`Document`."""
        yield _form([*self.fields, *self.fields])
        yield _form(self.fields).replace(b"=", b"")


# What separates the words of a line such as "OK|x7kp2".
_SEPARATOR = re.compile(r"([|,;:=\s]+)")


@attrs.frozen
class TextBody:
    """Plain text, whose values are its words. A place is the number of a word."""

    text: str

    def values(self) -> Iterator[tuple[Path, object]]:
        """See :class:`Document`."""
        return (((number,), word) for number, word in enumerate(self._pieces()) if word and not number % 2)

    def changed(self, place: Path, value: object) -> bytes:
        """See :class:`Document`."""
        pieces = self._pieces()
        pieces[int(place[0])] = as_text(value)
        return _encoded("".join(pieces))

    def without(self, place: Path) -> bytes:
        """See :class:`Document`."""
        pieces, number = self._pieces(), int(place[0])
        # The separator before a word is removed with it, and the one after the first word.
        del pieces[max(number - 1, 0) : number + 1 if number else 2]
        return _encoded("".join(pieces))

    def distortions(self) -> Iterator[bytes]:
        """See :class:`Document`."""
        yield _encoded(f"\n{self.text}\r\n")
        yield _encoded(self.text * 2)

    def _pieces(self) -> list[str]:
        """Return the words and the separators between them, in turn."""
        return _SEPARATOR.split(self.text)


# Readable text of some length, and what stands between two such texts.
_RUNS = re.compile(rb"[\x20-\x7e]{3,}|(?:(?![\x20-\x7e]{3}).)+", re.DOTALL)

_BYTE_ORDERS: Sequence[Literal["big", "little"]] = ("big", "little")


@attrs.frozen
class BinaryBody:
    """Bytes of an unknown format, whose values are the ASCII texts in them and the numbers between those."""

    body: bytes

    def values(self) -> Iterator[tuple[Path, object]]:
        """See :class:`Document`."""
        for number, run in enumerate(self._runs()):
            yield (number,), run.decode("ascii") if _is_text(run) else int.from_bytes(run, "big")

    def changed(self, place: Path, value: object) -> bytes:
        """See :class:`Document`."""
        number, runs = int(place[0]), self._runs()
        old = runs[number]
        if isinstance(value, int) and not _is_text(old):
            runs[number] = (value % 256 ** len(old)).to_bytes(len(old), "big")
            return b"".join(runs)
        runs[number] = new = _encoded(as_text(value))
        if number:
            runs[number - 1] = _with_length(runs[number - 1], len(old), len(new))
        return b"".join(runs)

    def without(self, place: Path) -> bytes:
        """See :class:`Document`."""
        runs = self._runs()
        del runs[int(place[0])]
        return b"".join(runs)

    def distortions(self) -> Iterator[bytes]:
        """See :class:`Document`."""
        yield from (self.body[:length] for length in range(0, len(self.body), 3))
        yield self.body[::-1]

    def _runs(self) -> list[bytes]:
        return _RUNS.findall(self.body)


def _is_text(run: bytes) -> bool:
    return len(run) >= 3 and all(0x20 <= byte <= 0x7E for byte in run)


def _with_length(before: bytes, old: int, new: int) -> bytes:
    """Return the bytes before a text with its new length, if they end with its old one.

    Binary formats often write a text's length before it, and a reader refuses a text with a wrong length.
    """
    for width, order in product((4, 2, 1), _BYTE_ORDERS):
        if len(before) >= width and int.from_bytes(before[-width:], order) == old and new < 256**width:
            return before[:-width] + new.to_bytes(width, order)
    return before


_FORM = re.compile(r"[\w.\-%+\[\]]+=[^=&<>\s]*(&[\w.\-%+\[\]]+=[^=&<>\s]*)*", re.ASCII)

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def read_document(body: bytes) -> Document:
    """Return a body as a document of the format it is written in."""
    try:
        return JsonBody(json.loads(body))
    except (ValueError, RecursionError):
        pass
    top = read_xml(body)
    if top is not None:
        return XmlBody(top)
    try:
        text = body.decode()
    except ValueError:
        return BinaryBody(body)
    if _CONTROL.search(text):
        return BinaryBody(body)
    return FormBody(parse_qsl(text, keep_blank_values=True)) if _FORM.fullmatch(text) else TextBody(text)


def _form(fields: Iterable[tuple[str, str]]) -> bytes:
    return urlencode(list(fields), errors="replace").encode()


def _encoded(text: str) -> bytes:
    return text.encode(errors="replace")
