"""The picture to solve: its bytes, their format, and its size in pixels."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

import attrs

from captchahub._support.image_formats import ImageFormat, TruncatedError, recognise
from captchahub._support.image_formats.unsupported import advice
from captchahub._support.image_sources import decoded_base64, instead_of, name_of
from captchahub._support.svg import rendered
from captchahub.errors import TaskError

__all__ = ["MAX_BYTES", "Image", "ImageFormat", "PilImage"]

MAX_BYTES = 10_000_000
"""The default size limit of a picture, in bytes."""

_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")

# The head of a data URL whose content is not base64.
_DATA_HEAD = re.compile(rb"\A\s*data:[^,<]*,", re.IGNORECASE)


class PilImage(Protocol):
    """The part of ``PIL.Image.Image`` that :meth:`Image.from_pil` uses. Pillow itself is not required."""

    @property
    def mode(self) -> str:
        """How pixels are stored, such as ``RGB``."""
        ...

    def convert(self, mode: str, /) -> PilImage:
        """Return the picture in another mode."""
        ...

    def save(self, fp: BinaryIO, /, format: str) -> None:  # noqa: A002 - Pillow's own name for it
        """Write the picture to a file object."""


@attrs.frozen(repr=False)
class Image:
    """A complete picture in memory. Pictures with the same bytes are equal.

    Create one with :meth:`open`, :meth:`from_bytes`, :meth:`from_base64`, :meth:`from_pil` or
    :meth:`from_svg`. All of them raise :class:`~captchahub.errors.TaskError` if the data is not a PNG, JPEG,
    GIF, WebP or BMP picture, lacks pixels, or is larger than ``max_bytes`` bytes. A picture that lacks only
    its end marker is accepted.
    """

    data: bytes
    format: ImageFormat
    width: int
    """In pixels."""
    height: int
    """In pixels."""

    def __repr__(self) -> str:
        return f"<Image {self.format} {self.width}x{self.height}, {len(self.data)} bytes>"

    @classmethod
    def open(cls, source: str | os.PathLike[str] | BinaryIO, *, max_bytes: int = MAX_BYTES) -> Image:
        """Read a picture from a path, or from the current position of a file object opened in binary mode.

        At most ``max_bytes`` + 1 bytes are read.
        """
        name = name_of(source)
        try:
            if isinstance(source, (str, os.PathLike)):
                with Path(source).open("rb") as file:
                    data = _read(file, max_bytes + 1)
            else:
                data = _read(source, max_bytes + 1)
        except (AttributeError, TypeError, UnicodeDecodeError) as error:
            raise TaskError(
                f"cannot read the picture {name}: pass a path, or a file opened in binary mode ('rb')"
                f"{instead_of(source)}"
            ) from error
        except (OSError, ValueError) as error:  # ValueError: a closed file, or a path with a NUL
            reason = getattr(error, "strerror", None) or error
            raise TaskError(f"{name}: the picture can't be read: {reason}{instead_of(source)}") from error
        if not data and not isinstance(source, (str, os.PathLike)) and _is_past_start(source):
            raise TaskError(
                f"{name}: the picture is empty (0 bytes), because the file was read before; call seek(0) "
                "first"
            )
        return _checked(data, name, max_bytes)

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, *, max_bytes: int = MAX_BYTES) -> Image:
        """Create a picture from bytes in memory."""
        try:
            # Not bytes(data), which makes zeros of a number. Bytes are not copied.
            plain = data if type(data) is bytes else bytes(memoryview(data))
        except TypeError:
            found = type(data).__name__
            raise TaskError(
                f"a picture must be bytes, not {found}; for a path use Image.open(path){instead_of(data)}"
            ) from None
        return _checked(plain, "the bytes given", max_bytes)

    @classmethod
    def from_base64(cls, text: str | bytes, *, max_bytes: int = MAX_BYTES) -> Image:
        r"""Create a picture from base64 text, as it is found in web pages, JSON and URLs.

        The text may have line breaks and a ``data:image/png;base64,`` head, use the URL-safe alphabet, lack
        its padding, and be escaped (``%2B``, ``\/``).
        """
        try:
            plain = text.decode("ascii") if isinstance(text, bytes) else text
            data = decoded_base64(plain)
        except (AttributeError, TypeError):
            found = type(text).__name__
            raise TaskError(f"a base64 picture must be text, not {found}{instead_of(text)}") from None
        except ValueError as error:
            instead = _instead_of_base64(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
            raise TaskError(f"the picture is not valid base64: {error}{instead}") from None
        return _checked(data, "the base64 text", max_bytes)

    @classmethod
    def from_pil(cls, picture: PilImage, *, max_bytes: int = MAX_BYTES) -> Image:
        """Create a picture from a Pillow image. It is stored as PNG, without loss if PNG has its mode.

        Other modes are converted to the nearest mode that PNG has, which is RGB for most.
        """
        buffer = io.BytesIO()
        try:
            for mode in _PNG_MODES.get(picture.mode, ("RGB",)):
                picture = picture.convert(mode)
            picture.save(buffer, format="PNG")
        except Exception as error:  # any error of a decoder, because Pillow may read the file only now
            raise TaskError(
                f"cannot store this {type(picture).__name__} as PNG: {error}{instead_of(picture)}"
            ) from error
        return _checked(buffer.getvalue(), "the Pillow image", max_bytes)

    @classmethod
    def from_svg(
        cls,
        svg: str | bytes,
        *,
        scale: float = 1.0,
        background: str = "white",
        max_bytes: int = MAX_BYTES,
    ) -> Image:
        """Render an SVG picture, given as text or as bytes, gzip-compressed or not. It is stored as PNG.

        The renderer is resvg, which ``pip install 'captchahub[svg]'`` installs. ``scale`` multiplies width
        and height; ``background`` is a CSS colour. Raises TaskError if the SVG refers to other files, because
        it may come from a stranger.
        """
        try:
            data = rendered(svg, scale, background)
        except ImportError:
            raise TaskError("SVG needs a renderer: pip install 'captchahub[svg]'") from None
        except (AttributeError, TypeError):
            raise TaskError(f"an SVG picture must be text or bytes, not {type(svg).__name__}") from None
        except (EOFError, OSError, ValueError, zlib.error) as error:
            raise TaskError(f"cannot draw the SVG picture: {error}") from None
        return _checked(data, "the SVG picture", max_bytes)

    @property
    def base64(self) -> str:
        """The bytes in plain base64, without line breaks and without the head of a data URL."""
        return base64.b64encode(self.data).decode("ascii")

    @property
    def sha256(self) -> str:
        """The SHA-256 hash of the bytes, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


# The conversions from a Pillow mode to one that PNG has. CMYK, YCbCr, LAB, HSV and F, missing here, become
# RGB.
_PNG_MODES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), ()),
    **dict.fromkeys(("PA", "RGBa"), ("RGBA",)),
    "La": ("LA",),
    "I": ("I;16",),
    # Converted directly, these would keep only eight of their sixteen bits.
    **dict.fromkeys(("I;16B", "I;16L", "I;16N"), ("I", "I;16")),
}


def _read(file: BinaryIO, limit: int) -> bytes:
    """Read a file to its end, but at most ``limit`` bytes. One read of a pipe or a socket may return less."""
    data = bytearray()
    while len(data) < limit and (piece := file.read(limit - len(data))):
        data += piece
    return bytes(data)


def _is_past_start(file: BinaryIO) -> bool:
    """Whether the position of a file is not its start. False if it has no position."""
    try:
        return file.tell() > 0
    except (AttributeError, OSError, TypeError, ValueError):
        return False


def _advice(data: bytes) -> str:
    text = advice(data)
    return f"; {text}" if text else ""


def _instead_of_base64(data: bytes) -> str:
    """Return what to do with data that was passed as base64 but is something else."""
    if data.startswith(_SIGNATURES):
        return "; for the bytes of a picture use Image.from_bytes"
    return _advice(_DATA_HEAD.sub(b"", data, count=1)) if b"<" in data else ""


def _checked(data: bytes, source: str, max_bytes: int) -> Image:
    if not data:
        raise TaskError(f"{source}: the picture is empty (0 bytes)")
    if len(data) > max_bytes:
        raise TaskError(
            f"{source}: the picture is larger than {max_bytes} bytes (max_bytes); send a smaller one"
        )
    try:
        picture = recognise(data)
    except TruncatedError as error:
        raise TaskError(
            f"{source}: the {error} picture is truncated: pixels are missing from its {len(data)} bytes"
        ) from None
    if picture is None:
        raise TaskError(
            f"{source}: not a PNG, JPEG, GIF, WebP or BMP picture; "
            f"its {len(data)} bytes begin with {data[:12]!r}{_advice(data)}"
        )
    if not (picture.width and picture.height):
        raise TaskError(f"{source}: the {picture.format} picture is {picture.width}x{picture.height} pixels")
    return Image(data, picture.format, picture.width, picture.height)
