"""What callers may pass instead of a picture: names for messages, advice, and base64 in all its forms."""

from __future__ import annotations

import base64
import html
import inspect
import os
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from captchahub._support.image_formats.unsupported import advice_on_text

_MAX_NAME: Final = 200

# The second alternative lacks "data:", as after splitting at the colon.
_DATA_URL = re.compile(r"\A\s*(?:data:[^,]*|[\w/+.-]+;base64),", re.IGNORECASE)

_QUOTED = re.compile(r"""\A\s*b?(["'])(.*)\1\s*\Z""", re.DOTALL)

_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([/nrt]))")

_URL_SAFE = str.maketrans("-_", "+/")


def name_of(source: object) -> str:
    """Return what messages call a source; many file objects have a number for a name, or none."""
    if isinstance(source, (str, os.PathLike)):
        path = str(source)  # pyright: ignore[reportUnknownArgumentType]  # a path of either kind is shown
        return path if len(path) <= _MAX_NAME else f"{path[:60]}…"
    name: object = getattr(source, "name", None)
    return name if isinstance(name, str) else f"in the {type(source).__name__}"


def instead_of(thing: object) -> str:
    """Return, after a semicolon, what to call with an object of the wrong type, or an empty text."""
    if isinstance(thing, str):
        said = advice_on_text(thing)
    else:
        said = next((said for is_one, said in _INSTEAD if is_one(thing)), "")
    return f"; {said}" if said else ""


def _has(*names: str) -> Callable[[object], bool]:
    return lambda thing: all(hasattr(thing, name) for name in names)


_INSTEAD: tuple[tuple[Callable[[object], bool], str], ...] = (
    (lambda thing: isinstance(thing, (bytes, bytearray, memoryview)), "for bytes use Image.from_bytes(data)"),
    (inspect.isawaitable, "this has to be awaited first"),
    (_has("mode", "convert", "save"), "for a Pillow image use Image.from_pil(picture)"),
    (
        _has("__array_interface__"),
        "for an array use Image.from_pil(PIL.Image.fromarray(array))",
    ),
    (_has("status_code", "content"), "for a response use Image.from_bytes(response.content)"),
    (_has("status", "content", "read"), "for a response use Image.from_bytes(await response.read())"),
    (_has("base64", "sha256"), "this is an Image already"),
)


def decoded_base64(text: str) -> bytes:
    """Return the bytes of base64 as it stands in pages, JSON and URLs. Raises ValueError if it is ambiguous.

    It may have the head of a data URL, white space and quotes; be escaped as in a URL, JSON or HTML; use the
    alphabet for URLs (RFC 4648 section 5); and lack its padding.
    """
    packed = "".join(_DATA_URL.sub("", _unescaped(text), count=1).split())
    if not packed.isascii():
        raise ValueError("it has other characters than ASCII")
    if "-" in packed or "_" in packed:
        if "+" in packed or "/" in packed:
            raise ValueError("it has characters of both alphabets, '+' or '/' and '-' or '_'")
        packed = packed.translate(_URL_SAFE)
    if packed.endswith("="):
        return base64.b64decode(packed, validate=True)
    data = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    if base64.b64encode(data).decode().rstrip("=") != packed:
        raise ValueError("its last character does not fit, so its end is missing")
    return data


def _unescaped(text: str) -> str:
    text = text.lstrip("\ufeff")
    quoted = _QUOTED.match(text)
    text = quoted[2] if quoted else text
    # None of these characters occurs in base64, so nothing else can be meant.
    if "%" in text:
        text = unquote(text)
    if "&" in text:
        text = html.unescape(text)
    return _ESCAPED.sub(_meant, text)


def _meant(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    return "/" if escape[2] == "/" else " "
