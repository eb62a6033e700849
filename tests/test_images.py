"""The picture to solve: where it can come from, what it says of itself, and how a bad one is refused."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from captchahub import Image, TaskError
from captchahub.images import MAX_BYTES, PilImage


def drawn(mode: str = "RGB", colour: Any = 0) -> Pillow.Image:
    return Pillow.new(mode, (5, 3), colour)


def saved(file_format: str = "png") -> bytes:
    buffer = io.BytesIO()
    drawn().save(buffer, file_format)
    return buffer.getvalue()


PNG = saved()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A picture on the disk."""
    path = tmp_path / "captcha.png"
    path.write_bytes(PNG)
    return path


class TestImage:
    def test_it_knows_its_bytes_format_and_size(self) -> None:
        image = Image.from_bytes(PNG)
        assert (image.data, image.format, image.width, image.height) == (PNG, "png", 5, 3)

    def test_repr_shows_format_size_and_bytes_and_no_content(self) -> None:
        assert repr(Image.from_bytes(PNG)) == f"<Image png 5x3, {len(PNG)} bytes>"
        assert str(Image.from_bytes(PNG)) == repr(Image.from_bytes(PNG))

    def test_it_compares_by_value_and_can_be_a_key(self) -> None:
        first, same, other = Image.from_bytes(PNG), Image.from_bytes(PNG), Image.from_bytes(saved("bmp"))
        assert first == same
        assert len({first, same, other}) == 2

    def test_it_is_frozen(self) -> None:
        image = Image.from_bytes(PNG)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            image.width = 100  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue] # the point

    def test_it_can_be_pickled_and_copied(self) -> None:
        image = Image.from_bytes(PNG)
        assert pickle.loads(pickle.dumps(image)) == copy.deepcopy(image) == image

    def test_its_hash_is_that_of_the_bytes(self) -> None:
        assert Image.from_bytes(PNG).sha256 == hashlib.sha256(PNG).hexdigest()

    def test_its_base64_is_one_line_without_a_head(self) -> None:
        text = Image.from_bytes(PNG).base64
        assert base64.b64decode(text, validate=True) == PNG


class TestOpen:
    def test_a_path_as_text_or_as_a_path_object(self, path: Path) -> None:
        assert Image.open(path) == Image.open(str(path)) == Image.from_bytes(PNG)

    def test_the_content_counts_and_not_the_name(self, tmp_path: Path) -> None:
        named_otherwise = tmp_path / "captcha.jpg"
        named_otherwise.write_bytes(PNG)
        assert Image.open(named_otherwise).format == "png"

    def test_a_file_object(self, path: Path) -> None:
        with path.open("rb") as file:
            assert Image.open(file).data == PNG

    def test_a_file_object_is_read_from_where_it_stands(self) -> None:
        file = io.BytesIO(b"header" + PNG)
        file.seek(6)
        assert Image.open(file).data == PNG

    def test_a_pipe_that_gives_piece_by_piece_is_read_to_its_end(self) -> None:
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            os.write(writing, PNG)
            os.close(writing)
            assert Image.open(cast("BinaryIO", PieceByPiece(pipe))).data == PNG

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match=r"no\.png: No such file or directory"):
            Image.open(tmp_path / "no.png")

    def test_a_directory_is_no_picture(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match=r"cannot read the picture .*: Is a directory"):
            Image.open(tmp_path)

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty.png").touch()
        with pytest.raises(TaskError, match=r"empty\.png: the picture is empty \(0 bytes\)"):
            Image.open(tmp_path / "empty.png")

    @pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png"], ids=["a NUL", "half a character"])
    def test_a_name_that_no_file_can_have(self, name: str) -> None:
        with pytest.raises(TaskError, match="cannot read the picture"):
            Image.open(name)

    def test_a_file_opened_as_text(self, path: Path) -> None:
        with path.open(encoding="utf-8") as file, pytest.raises(TaskError, match=r"captcha\.png.*'rb'"):
            Image.open(cast("BinaryIO", file))

    def test_text_in_memory(self) -> None:
        with pytest.raises(TaskError, match="in the StringIO: give a path, or a file opened in binary"):
            Image.open(cast("BinaryIO", io.StringIO("text")))

    def test_a_file_that_is_closed(self) -> None:
        file = io.BytesIO(PNG)
        file.close()
        with pytest.raises(TaskError, match="I/O operation on closed file"):
            Image.open(file)

    def test_a_file_open_for_writing_only(self, tmp_path: Path) -> None:
        with (
            (tmp_path / "new.png").open("wb") as file,
            pytest.raises(TaskError, match=r"cannot read the picture .*: .*read"),
        ):
            Image.open(file)

    @pytest.mark.parametrize("thing", [PNG, drawn(), 7, None], ids=["bytes", "Pillow", "number", "None"])
    def test_what_is_neither_a_path_nor_a_file(self, thing: object) -> None:
        with pytest.raises(TaskError, match="give a path, or a file opened in binary mode"):
            Image.open(cast("BinaryIO", thing))

    def test_messages_name_the_file_of_a_file_object(self, tmp_path: Path) -> None:
        (tmp_path / "page.html").write_text("<html>")
        with (
            (tmp_path / "page.html").open("rb") as file,
            pytest.raises(TaskError, match=r"page\.html: not a"),
        ):
            Image.open(file)

    def test_a_file_object_with_a_number_for_a_name_is_named_by_its_type(self) -> None:
        with tempfile.TemporaryFile() as file, pytest.raises(TaskError, match=r"^in the \w+: the picture is"):
            Image.open(file)

    def test_a_file_object_without_a_name_is_named_by_its_type(self) -> None:
        with pytest.raises(TaskError, match=r"^in the BytesIO: the picture is empty"):
            Image.open(io.BytesIO())

    def test_no_more_is_read_than_the_limit_and_one(self) -> None:
        file = io.BytesIO(PNG + b"\0" * 1000)
        with pytest.raises(TaskError, match="larger than 100 bytes"):
            Image.open(file, max_bytes=100)
        assert file.tell() == 101

    def test_an_endless_file_is_refused(self) -> None:
        with pytest.raises(TaskError, match="larger than 10000000 bytes"):
            Image.open(cast("BinaryIO", Endless()))


class PieceByPiece:
    """A raw file as slow networks make them: never more than 16 bytes at once."""

    def __init__(self, file: io.RawIOBase | BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes | None:
        return self._file.read(min(size, 16))


class Endless:
    def read(self, size: int) -> bytes:
        return b"\0" * min(size, 1 << 20)


class TestLimit:
    def test_it_is_ten_million_bytes(self) -> None:
        assert MAX_BYTES == 10_000_000
        Image.from_bytes(PNG + b"\0" * (MAX_BYTES - len(PNG)))
        with pytest.raises(TaskError, match=r"larger than 10000000 bytes \(max_bytes\); send a smaller one"):
            Image.from_bytes(PNG + b"\0" * (MAX_BYTES - len(PNG) + 1))

    def test_it_can_be_set_wherever_a_picture_comes_from(self, path: Path) -> None:
        limit = len(PNG)
        text = base64.b64encode(PNG).decode()
        assert Image.open(path, max_bytes=limit) == Image.from_bytes(PNG, max_bytes=limit)
        assert Image.from_base64(text, max_bytes=limit) == Image.open(io.BytesIO(PNG), max_bytes=limit)
        makers: list[Callable[[], Image]] = [
            lambda: Image.open(path, max_bytes=limit - 1),
            lambda: Image.open(io.BytesIO(PNG), max_bytes=limit - 1),
            lambda: Image.from_bytes(PNG, max_bytes=limit - 1),
            lambda: Image.from_base64(text, max_bytes=limit - 1),
            lambda: Image.from_pil(drawn(), max_bytes=20),
        ]
        for make in makers:
            with pytest.raises(TaskError, match="the picture is larger than"):
                make()


class TestFromBytes:
    @pytest.mark.parametrize("data", [PNG, bytearray(PNG), memoryview(PNG)], ids=["bytes", "array", "view"])
    def test_bytes_of_every_kind(self, data: bytes | bytearray | memoryview) -> None:
        image = Image.from_bytes(data)
        assert type(image.data) is bytes
        assert image.data == PNG

    def test_the_picture_does_not_change_with_the_buffer_it_came_from(self) -> None:
        buffer = bytearray(PNG)
        image = Image.from_bytes(buffer)
        buffer[:] = b"\0" * len(buffer)
        assert image.data == PNG

    @pytest.mark.parametrize("thing", ["captcha.png", Path("captcha.png"), 5, None, [1, 2]])
    def test_anything_else_is_refused_by_its_type(self, thing: object) -> None:
        with pytest.raises(TaskError, match=f"must be bytes, not {type(thing).__name__}; .*Image.open"):
            Image.from_bytes(cast("bytes", thing))

    def test_nothing(self) -> None:
        with pytest.raises(TaskError, match=r"the picture is empty \(0 bytes\)"):
            Image.from_bytes(b"")

    def test_the_refusal_shows_no_more_than_the_first_bytes(self) -> None:
        with pytest.raises(TaskError) as caught:
            Image.from_bytes(b"GIF90a, and a secret after it")
        assert "begin with b'GIF90a, and " in str(caught.value)
        assert "secret" not in str(caught.value)


class TestFromBase64:
    TEXT = base64.b64encode(PNG).decode()

    @pytest.mark.parametrize(
        "text",
        [
            TEXT,
            TEXT.encode(),
            f"data:image/png;base64,{TEXT}",
            f"DATA:image/png;charset=utf-8;BASE64,{TEXT}",
            f"  data:image/png;base64,\n{TEXT}\n",
            "\r\n".join(textwrap.wrap(TEXT, 20)),
            base64.encodebytes(PNG),
        ],
        ids=["plain", "as bytes", "data URL", "odd data URL", "spaces", "CRLF", "MIME"],
    )
    def test_with_or_without_a_head_and_line_breaks(self, text: str | bytes) -> None:
        assert Image.from_base64(text).data == PNG

    @pytest.mark.parametrize(
        "text",
        [
            TEXT.rstrip("=")[:-1],
            TEXT[:-1] + "=A",
            "====",
            "not base64!",
            TEXT[:20] + "é" + TEXT[21:],
            TEXT[:20].encode() + b"\xff",
            f"{TEXT[:20]}data:,{TEXT[20:]}",
            "data:image/png;base64;no comma",
            base64.urlsafe_b64encode(b"\xff\xef" * 9),
        ],
    )
    def test_what_is_not_base64_is_refused(self, text: str | bytes) -> None:
        with pytest.raises(TaskError, match="the picture is not valid base64"):
            Image.from_base64(text)

    @pytest.mark.parametrize("text", ["", b"", " \n ", "data:image/png;base64,"])
    def test_nothing(self, text: str | bytes) -> None:
        with pytest.raises(TaskError, match="the base64 text: the picture is empty"):
            Image.from_base64(text)

    @pytest.mark.parametrize("thing", [None, 7, bytearray(b"AAAA"), Path("a")])
    def test_what_is_not_text_is_refused_by_its_type(self, thing: object) -> None:
        with pytest.raises(TaskError, match=f"must be text, not {type(thing).__name__}"):
            Image.from_base64(cast("str", thing))

    def test_valid_base64_of_no_picture(self) -> None:
        with pytest.raises(TaskError, match="the base64 text: not a PNG"):
            Image.from_base64("aGVsbG8=")

    @given(st.text() | st.binary())
    def test_any_text_is_a_picture_or_a_task_error(self, text: str | bytes) -> None:
        with pytest.raises(TaskError, match="base64"):
            Image.from_base64(text)


class TestFromPil:
    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
    def test_modes_that_png_has_keep_every_pixel(self, mode: str) -> None:
        picture = Pillow.frombytes("L", (16, 16), bytes(range(256))).convert("RGB").convert(mode)
        assert pixels(shown(picture)) == pixels(picture)

    @pytest.mark.parametrize(
        ("mode", "colour", "stored_mode", "stored"),
        [
            ("PA", (3, 77), "RGBA", (0, 0, 0, 77)),
            ("La", (51, 51), "LA", (255, 51)),
            ("RGBa", (102, 0, 0, 102), "RGBA", (255, 0, 0, 102)),
            ("I", 40_000, "I;16", 40_000),
            ("I;16B", 40_000, "I;16", 40_000),
            ("I;16L", 40_000, "I;16", 40_000),
            ("I;16N", 40_000, "I;16", 40_000),
            ("F", 200.0, "RGB", (200, 200, 200)),
            ("RGBX", (1, 2, 3, 4), "RGB", (1, 2, 3)),
            ("CMYK", (255, 0, 255, 0), "RGB", (0, 255, 0)),
            ("YCbCr", (255, 128, 128), "RGB", (255, 255, 255)),
            ("HSV", (0, 255, 255), "RGB", (255, 0, 0)),
        ],
    )
    def test_other_modes_become_the_nearest_that_png_has(
        self, mode: str, colour: object, stored_mode: str, stored: object
    ) -> None:
        picture = shown(drawn(mode, colour))
        assert picture.mode == stored_mode
        assert set(pixels(picture)) == {stored}

    def test_lab_is_taken_as_well(self) -> None:
        assert shown(drawn("LAB", (255, 128, 128))).mode == "RGB"

    def test_the_frame_that_an_animation_stands_at_is_taken(self) -> None:
        buffer = io.BytesIO()
        drawn("L", 10).save(buffer, "gif", save_all=True, append_images=[drawn("L", 200)])
        with Pillow.open(buffer) as animation:
            animation.seek(1)
            image = Image.from_pil(animation)
        assert set(pixels(Pillow.open(io.BytesIO(image.data)).convert("L"))) == {200}

    def test_a_picture_that_pillow_can_not_read_to_its_end(self) -> None:
        half = Pillow.open(io.BytesIO(PNG[:45]))
        with half, pytest.raises(TaskError, match=r"cannot store this PngImageFile as PNG: .*truncated"):
            Image.from_pil(half)

    def test_a_picture_of_no_size(self) -> None:
        with pytest.raises(TaskError, match="cannot store this Image as PNG"):
            Image.from_pil(Pillow.new("RGB", (0, 3)))

    @pytest.mark.parametrize("thing", [object(), None, PNG, "captcha.png", Pillow])
    def test_what_is_no_pillow_image_is_refused_by_its_type(self, thing: object) -> None:
        with pytest.raises(TaskError, match=f"cannot store this {type(thing).__name__} as PNG"):
            Image.from_pil(cast("PilImage", thing))

    def test_any_object_with_the_same_methods_will_do(self) -> None:
        assert Image.from_pil(Lookalike(PNG)).data == PNG

    def test_a_lookalike_that_saves_something_else(self) -> None:
        with pytest.raises(TaskError, match="the Pillow image: not a PNG"):
            Image.from_pil(Lookalike(b"something else"))
        with pytest.raises(TaskError, match="the Pillow image: the picture is empty"):
            Image.from_pil(Lookalike(b""))


@attrs.frozen
class Lookalike:
    """What from_pil needs to know of a picture, without Pillow."""

    content: bytes
    mode: str = "CMYK"

    def convert(self, mode: str, /) -> Lookalike:
        return attrs.evolve(self, mode=mode)

    def save(self, fp: BinaryIO, /, format: str) -> None:  # noqa: A002 - Pillow's own name for it
        assert (self.mode, format) == ("RGB", "PNG")
        fp.write(self.content)


def shown(picture: Pillow.Image) -> Pillow.Image:
    """What somebody sees who opens the stored picture."""
    image = Image.from_pil(picture)
    assert (image.format, image.width, image.height) == ("png", *picture.size)
    return Pillow.open(io.BytesIO(image.data))


def pixels(picture: Pillow.Image) -> list[object]:
    width, height = picture.size
    return [picture.getpixel((x, y)) for y in range(height) for x in range(width)]


def test_an_image_needs_no_pillow() -> None:
    """Pillow is only in the extra for tests; the library itself reads headers alone."""
    program = "import sys, captchahub; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 0
