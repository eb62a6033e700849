"""Which pictures are changed, and how: with Pillow itself, on pictures in memory."""

from __future__ import annotations

import io
import logging
from typing import Any, Protocol

import attrs
import pytest
from captchahub_pillow import Pillow
from PIL import Image as Pil
from PIL import ImageDraw, ImageOps

from captchahub import Image, ImageToText, PhoneSlide
from captchahub.frames import WHOLE, Frame

ORIENTATION = 0x0112


class Draw(Protocol):
    def __call__(
        self,
        name: str,
        width: int = 64,
        height: int = 48,
        /,
        *,
        mode: str = "RGB",
        noisy: bool = False,
        **saved: Any,
    ) -> Image: ...


def made(image: Image, **limits: Any) -> tuple[Image, Frame] | None:
    """Return what the plugin makes of a picture, or None if it does not change it."""
    prepared = Pillow(**limits).captchahub_prepare_task(PhoneSlide(image), "omo")
    return None if prepared is None else (prepared.task.image, prepared.frame)


def anew(image: Image, **limits: Any) -> Image:
    """Return the picture that the plugin makes of one that it has to change."""
    prepared = made(image, **limits)
    assert prepared is not None
    return prepared[0]


def opened(image: Image) -> Pil.Image:
    picture = Pil.open(io.BytesIO(image.data))
    picture.load()
    return picture


def pixels(image: Image, mode: str = "RGBA") -> bytes:
    return opened(image).convert(mode).tobytes()


class TestLeftAlone:
    @pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF"])
    def test_what_is_within_the_limits(self, draw: Draw, name: str) -> None:
        assert made(draw(name)) is None

    def test_what_another_provider_is_to_get(self, draw: Draw) -> None:
        task = ImageToText(draw("BMP"))
        plugin = Pillow(providers=["backup"])
        assert plugin.captchahub_prepare_task(task, "omo") is None
        assert plugin.captchahub_prepare_task(task, "backup") is not None

    @pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
    def test_what_moves(self, draw: Draw, name: str) -> None:
        second = opened(draw("PNG", mode="L", noisy=True))
        moving = draw(name, mode="L", save_all=True, append_images=[second])
        assert made(moving, max_bytes=100, formats=["jpeg"]) is None

    def test_what_would_fill_the_memory(self, caplog: pytest.LogCaptureFixture) -> None:
        """Make a few bytes that claim to be 40,000 times 40,000 pixels."""
        small = io.BytesIO()
        Pil.new("1", (40_000, 8)).save(small, "BMP")
        data = bytearray(small.getvalue())
        data[22:26] = (40_000).to_bytes(4, "little")
        image = attrs.evolve(Image.from_bytes(small.getvalue()), data=bytes(data), height=40_000)
        with caplog.at_level(logging.WARNING, "captchahub.pillow"):
            assert made(image) is None
        assert "too many pixels" in caplog.text

    def test_what_can_not_be_made_so_small(self, draw: Draw) -> None:
        assert made(draw("PNG", 200, 200, noisy=True), max_bytes=50) is None


class TestOtherFormats:
    @pytest.mark.parametrize(
        ("name", "mode", "saved"),
        [
            ("BMP", "RGB", {}),
            ("BMP", "P", {}),
            ("BMP", "L", {}),
            ("BMP", "1", {}),
            ("WEBP", "RGB", {"lossless": True}),
            ("WEBP", "RGBA", {"lossless": True}),
        ],
    )
    def test_become_png_without_loss(self, draw: Draw, name: str, mode: str, saved: dict[str, Any]) -> None:
        image = draw(name, mode=mode, **saved)
        prepared = made(image)
        assert prepared is not None
        assert (prepared[0].format, prepared[1]) == ("png", WHOLE)
        assert pixels(prepared[0]) == pixels(image)

    def test_keep_what_is_transparent(self) -> None:
        picture = Pil.new("RGBA", (20, 20), (255, 0, 0, 0))
        ImageDraw.Draw(picture).rectangle((0, 0, 9, 19), fill=(0, 0, 255, 255))
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", lossless=True, exact=True)
        converted = opened(anew(Image.from_bytes(buffer.getvalue())))
        assert converted.getchannel("A").getextrema() == (0, 255)

    def test_become_jpeg_if_only_that_is_accepted_with_white_for_transparency(self) -> None:
        buffer = io.BytesIO()
        Pil.new("RGBA", (20, 20), (0, 0, 0, 0)).save(buffer, "PNG")
        converted = anew(Image.from_bytes(buffer.getvalue()), formats=["jpeg"])
        assert converted.format == "jpeg"
        assert opened(converted).getpixel((10, 10)) == (255, 255, 255)


class TestTooManyBytes:
    def test_a_file_is_packed_better_before_it_gets_smaller(self, draw: Draw) -> None:
        image = draw("PNG", 200, 200, compress_level=0)
        prepared = made(image, max_bytes=20_000)
        assert prepared is not None
        small, frame = prepared
        assert (small.format, small.width, small.height, frame) == ("png", 200, 200, WHOLE)
        assert pixels(small) == pixels(image)

    def test_then_it_loses_what_is_not_visible(self, draw: Draw) -> None:
        small = anew(draw("PNG", 200, 200, mode="L", noisy=True), max_bytes=35_000)
        assert (small.format, small.width, small.height) == ("jpeg", 200, 200)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
    @pytest.mark.parametrize("formats", [["png"], ["png", "jpeg"]])
    def test_then_pixels_whatever_its_colours_are(self, draw: Draw, mode: str, formats: list[str]) -> None:
        image = draw("PNG", 300, 200, mode=mode, noisy=True)
        limit = len(image.data) // 8
        prepared = made(image, max_bytes=limit, formats=formats)
        assert prepared is not None
        small, frame = prepared
        assert small.format in formats
        assert len(small.data) <= limit
        assert frame.place(small.width, small.height) == pytest.approx((300, 200))

    def test_a_photo_stays_one(self, draw: Draw) -> None:
        image = draw("JPEG", 300, 200, noisy=True, quality=100)
        assert anew(image, max_bytes=len(image.data) // 2).format == "jpeg"

    def test_a_photo_for_printers_gets_the_colours_of_screens(self, draw: Draw) -> None:
        image = draw("JPEG", 300, 200, mode="CMYK", noisy=True, quality=100)
        assert opened(anew(image, max_bytes=len(image.data) // 2)).mode == "RGB"

    def test_16_bits_keep_their_brightness(self) -> None:
        buffer = io.BytesIO()
        Pil.new("I;16", (64, 64), 0x8000).save(buffer, "PNG", compress_level=0)
        small = anew(Image.from_bytes(buffer.getvalue()), max_bytes=2_000)
        assert opened(small).convert("L").getpixel((5, 5)) == 0x80


class TestTooManyPixels:
    def test_the_longer_side_is_as_long_as_it_may_be(self, draw: Draw) -> None:
        prepared = made(draw("PNG", 1080, 2280), max_side=600)
        assert prepared is not None
        small, frame = prepared
        assert (small.width, small.height) == (284, 600)
        assert frame == Frame(across=1080 / 284, down=2280 / 600)

    def test_a_line_keeps_a_pixel(self, draw: Draw) -> None:
        small = anew(draw("PNG", 2000, 1), max_side=100)
        assert (small.width, small.height) == (100, 1)

    def test_the_frame_maps_points_back(self) -> None:
        """A dot on a large screen, found in the small one, and mapped back."""
        picture = Pil.new("RGB", (1000, 1600), "white")
        ImageDraw.Draw(picture).rectangle((700, 1200, 719, 1219), fill="black")
        prepared = made(Image.from_pil(picture), max_side=400)
        assert prepared is not None
        small, frame = prepared
        box = ImageOps.invert(opened(small).convert("1", dither=Pil.Dither.NONE).convert("L")).getbbox()
        assert box is not None
        left, top, right, bottom = box
        assert frame.place((left + right) / 2, (top + bottom) / 2) == pytest.approx((710, 1210), abs=4)


class TestExif:
    def test_the_orientation_is_kept_and_nothing_else(self, draw: Draw) -> None:
        exif = Pil.Exif()
        exif[ORIENTATION], exif[0x010E] = 6, "where I live"
        image = draw("JPEG", 300, 200, noisy=True, quality=100, exif=exif)
        small = anew(image, max_side=150)
        assert (small.width, small.height) == (150, 100)
        assert dict(opened(small).getexif()) == {ORIENTATION: 6}
        assert b"where I live" not in small.data

    def test_there_is_none_where_there_was_none(self, draw: Draw) -> None:
        assert dict(opened(anew(draw("BMP"))).getexif()) == {}


class TestTheTask:
    def test_keeps_its_options(self, draw: Draw) -> None:
        task = ImageToText(draw("BMP"), length=5, charset="0123456789", math=True)
        prepared = Pillow().captchahub_prepare_task(task, "omo")
        assert prepared is not None
        assert prepared.task.options == task.options

    def test_gets_the_same_picture_each_time(self, draw: Draw) -> None:
        image = draw("BMP")
        assert anew(image) == anew(image)


class TestLimitsThatNoPictureCanKeep:
    @pytest.mark.parametrize(
        ("limits", "error", "said"),
        [
            ({"max_bytes": 0}, ValueError, "max_bytes must be 1 or more, or None for no limit, not 0"),
            ({"max_side": -1}, ValueError, "max_side must be 1 or more, or None for no limit, not -1"),
            ({"formats": ["gif"]}, ValueError, "formats must contain png or jpeg"),
            ({"formats": ["png", "tiff"]}, ValueError, "formats has tiff; valid: png, jpeg, gif, webp, bmp"),
            ({"providers": "omo"}, TypeError, r"write \['omo'\]"),
        ],
    )
    def test_are_refused(self, limits: Any, error: type[Exception], said: str) -> None:
        with pytest.raises(error, match=said):
            Pillow(**limits)
