"""Renders SVG as PNG with resvg, which ``captchahub[svg]`` installs.

A drawing comes from an untrusted page. One that names other files is refused, because resvg would read them,
and so is one without a size or with a huge one.
"""

from __future__ import annotations

import gzip
import io
import math
import re
from typing import Final

# The limit is about 100 MB of memory.
_MAX_PIXELS: Final = 25_000_000

# In bytes, uncompressed: a gzip file of 10 kB can unpack to that much.
_MAX_LENGTH: Final = 10_000_000

_ROOT = re.compile(r"<(?:\w+:)?svg\b([^>]*)>", re.IGNORECASE)

_LENGTH = re.compile(r"\s*(\d*\.?\d+)\s*(?:px)?\s*")

_FOREIGN = re.compile(
    r"""href\s*=\s*["'](?!\s*\#|\s*data:image/(?:png|jpeg|gif|webp)[;,])|<!ENTITY""", re.IGNORECASE
)


def rendered(svg: str | bytes, scale: float, background: str) -> bytes:
    """Return the PNG of a drawing. Raises ValueError if it can't be drawn, ImportError without resvg."""
    import resvg_py  # noqa: PLC0415 - an optional dependency

    text = svg if isinstance(svg, str) else _decoded(svg)
    if _FOREIGN.search(text):
        raise ValueError("it names other files or entities, which are not read")
    if not 0 < scale < math.inf:
        raise ValueError(f"the scale {scale} is not a positive number")
    width, height = (round(side * scale) for side in _size(text))
    if not 0 < width * height <= _MAX_PIXELS:
        raise ValueError(f"it would be {width}x{height} pixels; pass another scale")
    return resvg_py.svg_to_bytes(
        svg_string=text.lstrip("\ufeff"), background=background, width=width, height=height
    )


def _decoded(data: bytes) -> str:
    if data.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            data = file.read(_MAX_LENGTH + 1)
    if len(data) > _MAX_LENGTH:
        raise ValueError(f"it is larger than {_MAX_LENGTH} bytes")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _size(text: str) -> tuple[float, float]:
    """Return the size in pixels, from the attributes or else from the view box."""
    root = _ROOT.search(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))
    if root is None:
        raise ValueError("it has no svg element")
    said = {name: value for name, _, value in re.findall(r"""([\w:-]+)\s*=\s*(["'])(.*?)\2""", root[1])}
    width, height = (_LENGTH.fullmatch(said.get(name, "")) for name in ("width", "height"))
    if width and height:
        return float(width[1]), float(height[1])
    box = re.split(r"[\s,]+", said.get("viewBox", "").strip())
    if len(box) == 4 and all(re.fullmatch(r"[-+]?\d*\.?\d+", number) for number in box):
        return float(box[2]), float(box[3])
    raise ValueError("it says no size in pixels: it needs a width and height, or a viewBox")
