"""The picture to solve: its sources, its properties, and how an unusable one is refused."""

from __future__ import annotations

import base64
import copy
import gzip
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast
from urllib.parse import quote

import attrs
import pytest
import requests
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


class Awaitable:
    """A response that was not awaited."""

    def __await__(self) -> Iterator[None]:
        yield


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

    def test_a_file_object_is_read_from_its_position(self) -> None:
        file = io.BytesIO(b"header" + PNG)
        file.seek(6)
        assert Image.open(file).data == PNG

    def test_a_pipe_that_returns_pieces_is_read_to_its_end(self) -> None:
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            os.write(writing, PNG)
            os.close(writing)
            assert Image.open(cast("BinaryIO", PieceByPiece(pipe))).data == PNG

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match=r"no\.png: the picture can't be read: No such file or directory"):
            Image.open(tmp_path / "no.png")

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match=r"the picture can't be read: Is a directory"):
            Image.open(tmp_path)

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty.png").touch()
        with pytest.raises(TaskError, match=r"empty\.png: the picture is empty \(0 bytes\)"):
            Image.open(tmp_path / "empty.png")

    @pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png"], ids=["a NUL", "half a character"])
    def test_a_name_that_no_file_can_have(self, name: str) -> None:
        with pytest.raises(TaskError, match="the picture can't be read"):
            Image.open(name)

    def test_a_file_opened_as_text(self, path: Path) -> None:
        with path.open(encoding="utf-8") as file, pytest.raises(TaskError, match=r"captcha\.png.*'rb'"):
            Image.open(cast("BinaryIO", file))

    def test_text_in_memory(self) -> None:
        with pytest.raises(TaskError, match="in the StringIO: pass a path, or a file opened in binary"):
            Image.open(cast("BinaryIO", io.StringIO("text")))

    def test_a_file_that_is_closed(self) -> None:
        file = io.BytesIO(PNG)
        file.close()
        with pytest.raises(TaskError, match="I/O operation on closed file"):
            Image.open(file)

    def test_a_file_open_for_writing_only(self, tmp_path: Path) -> None:
        with (
            (tmp_path / "new.png").open("wb") as file,
            pytest.raises(TaskError, match=r"the picture can't be read: .*read"),
        ):
            Image.open(file)

    @pytest.mark.parametrize("thing", [PNG, drawn(), 7, None], ids=["bytes", "Pillow", "number", "None"])
    def test_what_is_neither_a_path_nor_a_file(self, thing: object) -> None:
        with pytest.raises(TaskError, match="pass a path, or a file opened in binary mode"):
            Image.open(cast("BinaryIO", thing))

    @pytest.mark.parametrize(
        ("thing", "said"),
        [
            (PNG, r"Image\.from_bytes\(data\)"),
            (bytearray(PNG), r"Image\.from_bytes\(data\)"),
            (drawn(), r"Image\.from_pil\(picture\)"),
            (Image.from_bytes(PNG), "an Image already"),
            (SimpleNamespace(__array_interface__={}), r"from_pil\(PIL\.Image\.fromarray\(array\)\)"),
            (requests.Response(), r"Image\.from_bytes\(response\.content\)"),
            (SimpleNamespace(status=200, content=None, read=dict), r"from_bytes\(await response\.read\(\)\)"),
            (Awaitable(), "awaited first"),
            (base64.b64encode(PNG).decode(), r"Image\.from_base64\(text\)"),
            ("data:image/png;base64," + base64.b64encode(PNG).decode() * 50, r"Image\.from_base64\(text\)"),
            (base64.b64encode(saved("jpeg")).decode() * 50, r"Image\.from_base64\(text\)"),
            ("https://example.com/captcha.png", "an address: fetch it first"),
            ("<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>", "SVG: render it first"),
            ("<!doctype html><html></html>", "an HTML page, not a picture"),
        ],
        ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
    )
    def test_it_says_what_to_call_instead(self, thing: object, said: str) -> None:
        with pytest.raises(TaskError, match=said) as caught:
            Image.open(cast("BinaryIO", thing))
        assert len(str(caught.value)) < 400

    def test_a_stream_at_its_end(self) -> None:
        file = io.BytesIO()
        drawn().save(file, "png")
        with pytest.raises(
            TaskError, match=r"the BytesIO: the picture is empty \(0 bytes\), .*seek\(0\) first"
        ):
            Image.open(file)
        file.seek(0)
        assert Image.open(file).data == file.getvalue()

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
    """A raw file like that of a slow network: it never returns more than 16 bytes at once."""

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
            f"{TEXT[:20]}-+{TEXT[20:]}",
            TEXT[:-1] + "%",
            TEXT[:20] + "\\x" + TEXT[20:],
        ],
    )
    def test_what_is_not_base64_is_refused(self, text: str | bytes) -> None:
        with pytest.raises(TaskError, match="the picture is not valid base64"):
            Image.from_base64(text)

    @pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "webp"])
    @pytest.mark.parametrize("colour", [(251, 239, 190), (255, 255, 63), (7, 8, 9)])
    def test_every_way_to_write_it(self, kind: str, colour: tuple[int, int, int]) -> None:
        buffer = io.BytesIO()
        Pillow.new("RGB", (9, 7), colour).save(buffer, kind)
        # What follows a picture's end is passed over, and makes every length and every character occur.
        for more in (b"", b"\xfb", b"\xfb\xef", bytes(range(256))):
            data = buffer.getvalue() + more
            text = base64.b64encode(data).decode()
            for written in (
                text,
                text.rstrip("="),
                base64.urlsafe_b64encode(data).decode(),
                base64.urlsafe_b64encode(data).decode().rstrip("="),
                quote(text, safe=""),
                quote(f"data:image/{kind};base64,{text}", safe=""),
                f"data:image/{kind};base64,{quote(text, safe='')}",
                text.replace("/", "\\/"),
                text.replace("/", "\\u002f").replace("+", "\\u002B").replace("=", "\\u003d"),
                json.dumps("\r\n".join(textwrap.wrap(text, 76))),
                json.dumps(text),
                repr(text.encode()),
                text.replace("+", "&#43;").replace("=", "&#x3D;"),
                "&#10;".join(textwrap.wrap(text, 76)),
                f"image/{kind};base64,{text}",
                " ".join(textwrap.wrap(text, 60)),
                f"\ufeff{text}\n",
            ):
                assert Image.from_base64(written).data == data, written

    def test_text_that_lacks_its_end_is_not_taken_for_text_without_padding(self) -> None:
        with pytest.raises(TaskError, match="not valid base64: its last character does not fit"):
            Image.from_base64(base64.b64encode(PNG + b"\xff" * (2 - len(PNG) % 3)).decode()[:-2])

    def test_the_bytes_of_a_picture(self) -> None:
        with pytest.raises(TaskError, match=r"not valid base64: .*; .* use Image\.from_bytes"):
            Image.from_base64(PNG)

    def test_a_drawing_in_a_data_url(self) -> None:
        with pytest.raises(TaskError, match=r"not valid base64: .*; SVG: render it first"):
            Image.from_base64("data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg'/>")
        with pytest.raises(TaskError, match="SVG: render it first"):
            Image.from_base64("data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode())

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


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="150" height="50" viewBox="0,0,150,50">'
    '<rect width="100%" height="100%" fill="#eee"/><path fill="#444" d="M20 10h9v30h-9z"/></svg>'
)


class TestOtherFormats:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (SVG.encode(), "SVG: render it first"),
            (b'<?xml version="1.0" encoding="UTF-8"?>\n' + SVG.encode(), "SVG: render it first"),
            (b"\xef\xbb\xbf" + SVG.encode(), "SVG: render it first"),
            (SVG.encode("utf-16"), "SVG: render it first"),
            (b"<!-- a <html> remark -->\n" + SVG.encode(), "SVG: render it first"),
            (b"<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' ''>" + SVG.encode(), "SVG: render it first"),
            (b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>", "SVG: render it first"),
            (gzip.compress(SVG.encode()), "SVG: render it first"),
            (gzip.compress(PNG), r"compressed \(gzip\): decompress it first; .*response\.content"),
            (zlib.compress(PNG), r"compressed \(deflate\)"),
            (b"\x28\xb5\x2f\xfd\0\0", r"compressed \(zstd\)"),
            (b"\n<!DOCTYPE html>\n<title>Log in</title>", "this is an HTML page, not a picture: "),
            (b"<html><body><svg/></body></html>", "this is an HTML page, not a picture: "),
            (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML or HTML text"),
            (b'{"image": "iVBORw0KGgo"}', "this is JSON, not a picture: "),
            (b'[{"error": "expired"}]', "this is JSON, not a picture: "),
            (base64.b64encode(PNG), r"this is base64: use Image\.from_base64"),
            (b"data:image/png;base64," + base64.b64encode(PNG), r"this is base64: use Image\.from_base64"),
            (saved("tiff"), "this is TIFF: convert it first"),
            (saved("ico"), r"this is an icon \(ICO\): convert it first"),
            (b"%PDF-1.7", "this is PDF: convert it first"),
            (b"\0\0\0\x1cftypavif", "this is AVIF: convert it first"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_known_formats_are_named_with_what_to_do(self, data: bytes, said: str) -> None:
        with pytest.raises(
            TaskError, match=f"not a PNG, JPEG, GIF, WebP or BMP picture; .*; {said}|; .*{said}"
        ):
            Image.from_bytes(data)

    @pytest.mark.parametrize("data", [b"garbage", b"\x1f\x8bgarbage", b"[BM", b"<3", b"{", b"\xff\xfe<\xd8"])
    def test_unknown_data_is_shown_by_its_first_bytes(self, data: bytes) -> None:
        with pytest.raises(TaskError, match="bytes begin with b"):
            Image.from_bytes(data)


class TestFromSvg:
    """The output of svg-captcha, as a site sends it."""

    @pytest.mark.parametrize(
        "svg",
        [
            SVG,
            SVG.encode(),
            b"\xef\xbb\xbf" + SVG.encode(),
            '<?xml version="1.0" encoding="utf-8"?><!-- drawn -->' + SVG,
            SVG.encode("utf-16"),
            gzip.compress(SVG.encode()),
            SVG.replace(' width="150" height="50"', ""),
            SVG.replace('width="150" height="50"', 'width="100%" height="100%"'),
            SVG.replace('width="150" height="50"', "width='150px' height='50px'"),
            ('<?xml version="1.0" encoding="latin-1"?><!-- \u00e9 -->' + SVG).encode("latin-1"),
        ],
    )
    def test_it_is_drawn_at_its_own_size_on_white(self, svg: str | bytes) -> None:
        image = Image.from_svg(svg)
        assert (image.format, image.width, image.height) == ("png", 150, 50)
        with Pillow.open(io.BytesIO(image.data)) as seen:
            assert seen.convert("RGB").getpixel((24, 20)) == (0x44, 0x44, 0x44)
            assert seen.convert("RGB").getpixel((100, 20)) == (0xEE, 0xEE, 0xEE)

    def test_the_background_is_white_by_default(self) -> None:
        clear = SVG.replace('fill="#eee"', 'fill="none"')
        for background, pixel in (("white", (255, 255, 255)), ("#123456", (0x12, 0x34, 0x56))):
            with Pillow.open(io.BytesIO(Image.from_svg(clear, background=background).data)) as seen:
                assert seen.convert("RGB").getpixel((100, 20)) == pixel

    def test_it_can_be_drawn_larger(self) -> None:
        image = Image.from_svg(SVG, scale=3)
        assert (image.width, image.height) == (450, 150)

    @pytest.mark.parametrize(
        ("svg", "said"),
        [
            (SVG.replace("<rect", '<image href="/etc/secret.png"/><rect'), "names other files"),
            (SVG.replace("<rect", "<use xlink:href = 'other.svg#a'/><rect"), "names other files"),
            (
                SVG.replace("<rect", '<image href="data:image/svg+xml;base64,AAAA"/><rect'),
                "names other files",
            ),
            ('<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG, "names other files or entities"),
            (
                SVG.replace("150", "90000").replace('"50"', '"90000"'),
                "would be 90000x90000 pixels; pass another",
            ),
            ('<svg xmlns="http://www.w3.org/2000/svg"/>', "says no size in pixels"),
            ("<p>no drawing</p>", "has no svg element"),
            ('<svg width="5" height="5"><', "cannot draw the SVG picture"),
            (gzip.compress(SVG.encode())[:-20], "cannot draw the SVG picture"),
            (b"\x1f\x8bgarbage", "cannot draw the SVG picture"),
            (gzip.compress(b" " * 11_000_000), "larger than 10000000 bytes"),
            (Path("a.svg"), "must be text or bytes, not PosixPath"),
            (None, "must be text or bytes, not NoneType"),
        ],
        ids=range(13),
    )
    def test_what_can_not_be_drawn(self, svg: object, said: str) -> None:
        with pytest.raises(TaskError, match=said):
            Image.from_svg(cast("str", svg))

    @pytest.mark.parametrize("scale", [0, -1, 1e9, float("nan"), float("inf")])
    def test_a_scale_of_no_use(self, scale: float) -> None:
        with pytest.raises(TaskError, match="cannot draw the SVG picture"):
            Image.from_svg(SVG, scale=scale)

    def test_the_limit_holds(self) -> None:
        with pytest.raises(TaskError, match="larger than 20 bytes"):
            Image.from_svg(SVG, max_bytes=20)

    def test_without_a_renderer_it_says_how_to_get_one(self) -> None:
        program = textwrap.dedent("""
            import sys
            sys.modules["resvg_py"] = None
            import captchahub
            try:
                captchahub.Image.from_svg("<svg/>")
            except captchahub.TaskError as error:
                print(error)
        """)
        done = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30
        )
        assert done.stdout == "SVG needs a renderer: pip install 'captchahub[svg]'\n"


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

    def test_the_current_frame_of_an_animation_is_taken(self) -> None:
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
    def test_anything_but_a_pillow_image_is_refused_with_its_type(self, thing: object) -> None:
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
    """What from_pil needs of a picture, without Pillow."""

    content: bytes
    mode: str = "CMYK"

    def convert(self, mode: str, /) -> Lookalike:
        return attrs.evolve(self, mode=mode)

    def save(self, fp: BinaryIO, /, format: str) -> None:  # noqa: A002 - Pillow's own name for it
        assert (self.mode, format) == ("RGB", "PNG")
        fp.write(self.content)


def shown(picture: Pillow.Image) -> Pillow.Image:
    """Return the stored picture as a viewer shows it."""
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
