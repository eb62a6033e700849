"""What bytes in none of the five formats are, and what to do with them: for errors."""

from __future__ import annotations

import re
import zlib
from typing import Final

SVG_ADVICE: Final = "SVG: render it first, with Image.from_svg (pip install 'captchahub[svg]')"

# Bytes or characters to look at: enough for the comments before a first tag.
_LOOKED_AT = 4096

_COMPRESSED = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((start, "deflate") for start in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")),
)

_FORMATS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\0\0\1\0", "an icon (ICO)"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"%PDF", "PDF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
)

_JSON = re.compile(r'\{\s*["}]|\[\s*["{\[\]]')

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)

_TAG = re.compile(r"<(?:\w+:)?(svg|html|head|body|!doctype\s+html)\b", re.IGNORECASE)

# The beginnings of a picture in base64: PNG, JPEG, GIF, WebP, BMP, SVG and an XML declaration.
_BASE64 = re.compile(r"\s*(?:data:|iVBORw0KGgo|_9j_|/9j/|R0lGOD|UklGR|Qk[0-9A-Za-z+/]{6}|PHN2Z|PD94bWwg)")


def advice(data: bytes) -> str:
    """Return what to do with bytes that are no picture, or an empty text if nothing is known of them."""
    for offset, signature, name in _FORMATS:
        if data.startswith(signature, offset):
            return f"this is {name}: convert it first, as Image.from_pil(PIL.Image.open(file)) does"
    packing = next((name for signature, name in _COMPRESSED if data.startswith(signature)), None)
    if packing == "gzip" and advice_on_text(_text(_unpacked(data))) == SVG_ADVICE:
        return SVG_ADVICE
    if packing is not None:
        return (
            f"this is compressed ({packing}): decompress it first; of a requests or httpx response "
            "pass response.content to Image.from_bytes, not response.raw to Image.open"
        )
    return advice_on_text(_text(data))


def advice_on_text(text: str) -> str:
    """Return what to do with a text that was passed instead of a picture or its path, or an empty text."""
    if text.lower().startswith(("http://", "https://")):
        return "this is an address: fetch it first, and pass the bytes to Image.from_bytes"
    if _BASE64.match(text):
        return "this is base64: use Image.from_base64(text)"
    text = text[:_LOOKED_AT].lstrip("\ufeff \t\r\n")
    if text.startswith("<"):
        return _advice_on_markup(text)
    if _JSON.match(text):
        return (
            "this is JSON, not a picture: take the picture out of it, with Image.from_base64 if it is base64"
        )
    return ""


def _advice_on_markup(text: str) -> str:
    found = _TAG.search(_COMMENT.sub("", text))
    if found is None:
        return "this is an XML or HTML text, not a picture"
    if found[1].lower() == "svg":
        return SVG_ADVICE
    return "this is an HTML page, not a picture: check the address, and whether it needs cookies or a login"


def _text(data: bytes) -> str:
    """Return the beginning as text."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    return data[:_LOOKED_AT].decode(encoding, "replace")


def _unpacked(data: bytes) -> bytes:
    """Return the beginning of what is compressed with gzip."""
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data[:_LOOKED_AT], _LOOKED_AT)
    except zlib.error:
        return b""
