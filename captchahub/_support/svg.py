"""SVG → PNG, by resvg, which is installed with ``captchahub[svg]``.

A drawing comes from a stranger. One that names other files is refused, since resvg would read them, and so is
one that says no size or a vast one.
"""

from __future__ import annotations

import gzip
import io
import math
import re
from typing import Final

__all__ = ["rendered"]

_MOST_PIXELS: Final = 25_000_000

_LONGEST: Final = 10_000_000

_ROOT = re.compile(r"<(?:\w+:)?svg\b([^>]*)>", re.IGNORECASE)

_LENGTH = re.compile(r"\s*(\d*\.?\d+)\s*(?:px)?\s*")

_FOREIGN = re.compile(
    r"""href\s*=\s*["'](?!\s*\#|\s*data:image/(?:png|jpeg|gif|webp)[;,])|<!ENTITY""", re.IGNORECASE
)


def rendered(svg: str | bytes, scale: float, background: str) -> bytes:
    """The PNG of a drawing. Raises ValueError where it can't be drawn, ImportError without resvg."""
    import resvg_py  # noqa: PLC0415 - an extra; who has no SVG does not need it

    text = svg if isinstance(svg, str) else _decoded(svg)
    if _FOREIGN.search(text):
        raise ValueError("it names other files or entities, which are not read")
    if not 0 < scale < math.inf:
        raise ValueError(f"the scale {scale} makes no size")
    width, height = (round(side * scale) for side in _size(text))
    if not 0 < width * height <= _MOST_PIXELS:
        raise ValueError(f"it would be {width}x{height} pixels; give another scale")
    return resvg_py.svg_to_bytes(
        svg_string=text.lstrip("\ufeff"), background=background, width=width, height=height
    )


def _decoded(data: bytes) -> str:
    if data.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            data = file.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise ValueError(f"it is larger than {_LONGEST} bytes")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _size(text: str) -> tuple[float, float]:
    """The size in pixels, of the attributes or else of the view box."""
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
