"""Makes a picture that is within limits from one that is not."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator

import attrs
from PIL import Image as Pil

from captchahub import Image

__all__ = ["Limits", "fitting", "is_bomb"]

_WRITTEN = ("png", "jpeg")
_READ = ("png", "jpeg", "gif", "webp", "bmp")

# A decoded picture of this size takes 200 MB. The largest screens have a tenth of these pixels.
_MOST_PIXELS = 50_000_000
# Each try has three quarters of the side length of the one before.
_STEP = 0.75
# In pixels. In a picture with a shorter longest side nothing can be recognised.
_SMALLEST = 32
_QUALITY = 90
# The Exif tag for how a viewer has to turn the picture.
_ORIENTATION = 0x0112


def _known(_limits: object, _field: object, formats: Collection[str]) -> None:
    unknown = sorted(set(formats) - set(_READ))
    if unknown:
        raise ValueError(f"formats has {', '.join(unknown)}; valid: {', '.join(_READ)}")
    if not set(formats) & set(_WRITTEN):
        raise ValueError(
            "formats must contain png or jpeg, because other pictures are converted to one of them"
        )


def _positive(_limits: object, field: attrs.Attribute[int | None], limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise ValueError(f"{field.name} must be 1 or more, or None for no limit, not {limit}")


def _names(formats: Collection[str]) -> frozenset[str]:
    # A string is a collection of strings too.
    return frozenset([formats] if isinstance(formats, str) else formats)


@attrs.frozen
class Limits:
    """The pictures that a service accepts."""

    formats: Collection[str] = attrs.field(converter=_names, validator=_known)
    max_bytes: int | None = attrs.field(validator=_positive)
    max_side: int | None = attrs.field(validator=_positive)

    def allow(self, image: Image) -> bool:
        """Whether a picture is within the limits."""
        return (
            image.format in self.formats
            and self.takes(len(image.data))
            and (self.max_side is None or max(image.width, image.height) <= self.max_side)
        )

    def takes(self, size: int) -> bool:
        """Whether a file may have ``size`` bytes."""
        return self.max_bytes is None or size <= self.max_bytes


def is_bomb(image: Image) -> bool:
    """Whether a picture has too many pixels to be decoded safely."""
    return image.width * image.height > _MOST_PIXELS


def fitting(image: Image, limits: Limits) -> Image | None:
    """Return the picture at the largest size that the limits allow, or None if that is not possible.

    An animated picture is not changed, because its answer may be in any of its frames. Raises what Pillow
    raises for a picture that it cannot read.
    """
    with Pil.open(io.BytesIO(image.data), formats=[image.format]) as picture:
        if getattr(picture, "is_animated", False) or picture.size != (image.width, image.height):
            return None
        plain, turned = _plain(picture), picture.getexif().get(_ORIENTATION)
        is_photo = image.format == "jpeg"
    exif = Pil.Exif()
    if turned is not None:
        # The tag is kept, and the pixels are not turned: else the coordinates of an answer would not fit.
        exif[_ORIENTATION] = turned
    for size in _sizes(plain.size, limits.max_side):
        smaller = plain if size == plain.size else _resized(plain, size)
        for data in _written(smaller, exif, limits.formats, is_photo=is_photo):
            if limits.takes(len(data)):
                return Image.from_bytes(data)
    return None


def _plain(picture: Pil.Image) -> Pil.Image:
    """Return the picture in a mode that PNG has, with 8 bits a channel, which is what screens show."""
    if picture.mode.startswith(("I", "F")):
        wide = picture.convert("I")
        # Pillow's types refer to numpy, which need not be installed.
        picture = wide.point(lambda value: value * (1 / 256)).convert("L")  # pyright: ignore[reportUnknownMemberType]
    if picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        picture.load()
        return picture.copy()
    return picture.convert("RGB")


def _colours(picture: Pil.Image) -> Pil.Image:
    """Return the picture in a mode whose values can be averaged, unlike palette entries and single bits."""
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if picture.mode == "1":
        return picture.convert("L")
    return picture.convert("RGB") if picture.mode == "P" else picture


def _resized(picture: Pil.Image, size: tuple[int, int]) -> Pil.Image:
    # Pillow's types refer to numpy, which need not be installed.
    return _colours(picture).resize(size, Pil.Resampling.LANCZOS)  # pyright: ignore[reportUnknownMemberType]


def _sizes(size: tuple[int, int], max_side: int | None) -> Iterator[tuple[int, int]]:
    """Yield the sizes to try, starting with the largest allowed."""
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
    """Yield the picture as files: as lossless PNG first, except for a photo, which would only grow."""
    if "png" in formats and not (is_photo and "jpeg" in formats):
        yield _saved(picture, "PNG", exif, optimize=True)
    if "jpeg" in formats:
        yield _saved(_opaque(picture), "JPEG", exif, quality=_QUALITY, optimize=True)


def _opaque(picture: Pil.Image) -> Pil.Image:
    """Return the picture on a white background."""
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
