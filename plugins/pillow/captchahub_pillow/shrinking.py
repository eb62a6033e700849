"""A picture within limits, made of one that is not."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator

import attrs
from PIL import Image as Pil

from captchahub import Image

__all__ = ["Limits", "fitting", "is_bomb"]

_WRITTEN = ("png", "jpeg")
_READ = ("png", "jpeg", "gif", "webp", "bmp")

# A picture of so many pixels takes 200 MB in memory. The largest screens have a tenth of them.
_MOST_PIXELS = 50_000_000
# Each try has three quarters of the side of the one before; a picture that is smaller shows nothing.
_STEP = 0.75
_SMALLEST = 32
_QUALITY = 90
_ORIENTATION = 0x0112


def _known(_limits: object, _field: object, formats: Collection[str]) -> None:
    unknown = sorted(set(formats) - set(_READ))
    if unknown:
        raise ValueError(f"formats has {', '.join(unknown)}; valid: {', '.join(_READ)}")
    if not set(formats) & set(_WRITTEN):
        raise ValueError("formats needs png or jpeg: other pictures are converted into one of them")


def _positive(_limits: object, field: attrs.Attribute[int | None], limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise ValueError(f"{field.name} is 1 or more, or None for no limit, not {limit}")


def _names(formats: Collection[str]) -> frozenset[str]:
    # A text is a collection of texts too.
    return frozenset([formats] if isinstance(formats, str) else formats)


@attrs.frozen
class Limits:
    """The pictures that a service takes."""

    formats: Collection[str] = attrs.field(converter=_names, validator=_known)
    max_bytes: int | None = attrs.field(validator=_positive)
    max_side: int | None = attrs.field(validator=_positive)

    def allow(self, image: Image) -> bool:
        """Whether a picture is within them."""
        return (
            image.format in self.formats
            and self.takes(len(image.data))
            and (self.max_side is None or max(image.width, image.height) <= self.max_side)
        )

    def takes(self, size: int) -> bool:
        """Whether a file may have so many bytes."""
        return self.max_bytes is None or size <= self.max_bytes


def is_bomb(image: Image) -> bool:
    """Whether a picture has so many pixels that they had better stay packed."""
    return image.width * image.height > _MOST_PIXELS


def fitting(image: Image, limits: Limits) -> Image | None:
    """The picture, as large as the limits let it be; None where that can't be done.

    One that moves is left alone, for its answer may be in any of its frames. Raises what Pillow raises for
    a picture that it can't read.
    """
    with Pil.open(io.BytesIO(image.data), formats=[image.format]) as picture:
        if getattr(picture, "is_animated", False) or picture.size != (image.width, image.height):
            return None
        plain, turned = _plain(picture), picture.getexif().get(_ORIENTATION)
        is_photo = image.format == "jpeg"
    exif = Pil.Exif()
    if turned is not None:
        # Whoever looks at it sees it as before: turned by it, a place could not be found again.
        exif[_ORIENTATION] = turned
    for size in _sizes(plain.size, limits.max_side):
        smaller = plain if size == plain.size else _resized(plain, size)
        for data in _written(smaller, exif, limits.formats, is_photo=is_photo):
            if limits.takes(len(data)):
                return Image.from_bytes(data)
    return None


def _plain(picture: Pil.Image) -> Pil.Image:
    """The picture in a mode that PNG has, without more bits than a screen shows."""
    if picture.mode.startswith(("I", "F")):
        wide = picture.convert("I")
        # Its types name numpy, which need not be here.
        picture = wide.point(lambda value: value * (1 / 256)).convert("L")  # pyright: ignore[reportUnknownMemberType]
    if picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        picture.load()
        return picture.copy()
    return picture.convert("RGB")


def _colours(picture: Pil.Image) -> Pil.Image:
    """The picture with values that can be mixed: entries of a palette, or black and white, can't."""
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if picture.mode == "1":
        return picture.convert("L")
    return picture.convert("RGB") if picture.mode == "P" else picture


def _resized(picture: Pil.Image, size: tuple[int, int]) -> Pil.Image:
    # Its types name numpy, which need not be here.
    return _colours(picture).resize(size, Pil.Resampling.LANCZOS)  # pyright: ignore[reportUnknownMemberType]


def _sizes(size: tuple[int, int], max_side: int | None) -> Iterator[tuple[int, int]]:
    """The sizes to try, from the largest that is allowed."""
    longer = max(size)
    scale = 1.0 if max_side is None else min(1.0, max_side / longer)
    while True:
        yield max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        scale *= _STEP
        if longer * scale < _SMALLEST:
            return


def _written(
    picture: Pil.Image, exif: Pil.Exif, formats: Collection[str], *, is_photo: bool
) -> Iterator[bytes]:
    """The picture as files: without loss first, but for a photo, which would only grow."""
    if "png" in formats and not (is_photo and "jpeg" in formats):
        yield _saved(picture, "PNG", exif, optimize=True)
    if "jpeg" in formats:
        yield _saved(_opaque(picture), "JPEG", exif, quality=_QUALITY, optimize=True)


def _opaque(picture: Pil.Image) -> Pil.Image:
    """The picture as it looks on white paper."""
    colours = _colours(picture)
    if colours.mode not in ("LA", "RGBA"):
        return colours
    paper = Pil.new("RGBA", colours.size, "white")
    paper.alpha_composite(colours.convert("RGBA"))
    return paper.convert("RGB")


def _saved(picture: Pil.Image, name: str, exif: Pil.Exif, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, name, exif=exif, **options)
    return buffer.getvalue()
