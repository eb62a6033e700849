"""Which pictures count as complete, compared with real pictures that Pillow reads as well."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from captchahub import Image, TaskError

SIZE = (11, 6)

# The three ways to be refused: bytes of no picture, of half a picture, and none.
REFUSED = re.compile(r"not a PNG|truncated|empty|pixels")


def drawn(mode: str, size: tuple[int, int] = SIZE) -> Pillow.Image:
    """A picture in which no two pixels next to each other are the same."""
    grey = Pillow.frombytes("L", size, bytes(index * 73 % 256 for index in range(size[0] * size[1])))
    picture = grey.convert("RGB").convert(mode)
    if mode == "RGBA":
        picture.putalpha(grey)
    return picture


def saved(mode: str, file_format: str, size: tuple[int, int] = SIZE, **options: object) -> bytes:
    buffer = io.BytesIO()
    drawn(mode, size).save(buffer, file_format, **options)
    return buffer.getvalue()


def animated(file_format: str) -> bytes:
    frames = [drawn("RGB").rotate(180), drawn("RGB")]
    return saved("RGB", file_format, save_all=True, append_images=frames, duration=50)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def interlaced_png() -> bytes:
    """Pillow reads Adam7 and does not write it."""
    width, height = SIZE
    rows = b""
    for x, y, across, down in ADAM7:
        columns = len(range(x, width, across))
        rows += (b"\0" + b"\x7f" * columns) * len(range(y, height, down)) if columns else b""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return png(chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND"))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def jpeg_segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg_with(segment: bytes) -> bytes:
    """A JPEG with one more segment right after its start."""
    plain = saved("RGB", "jpeg")
    return plain[:2] + segment + plain[2:]


def jpeg_with_thumbnail() -> bytes:
    """A whole small JPEG inside the large one, as cameras and phones write it."""
    return jpeg_with(jpeg_segment(0xE1, b"Exif\0\0" + saved("RGB", "jpeg", (4, 4))))


def bmp(depth: int, rows: bytes, *, height: int = SIZE[1], compression: int = 0, colours: int = 0) -> bytes:
    """A BMP of a kind that Pillow reads and does not write."""
    palette = bytes(range(4 * colours))
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
    size = struct.pack(
        "<IiiHHIIiiII", 40, SIZE[0], height, 1, depth, compression, len(rows), 0, 0, colours, 0
    )
    return head + size + palette + rows


def bmp_of_os2() -> bytes:
    width, height = SIZE
    rows = b"\x10\x20\x30" * width + b"\0" * 3
    head = struct.pack("<2sIHHI", b"BM", 26 + len(rows) * height, 0, 0, 26)
    return head + struct.pack("<IHHHH", 12, width, height, 1, 24) + rows * height


PICTURES: dict[str, Callable[[], bytes]] = {
    "png, black and white": lambda: saved("1", "png"),
    "png, grey": lambda: saved("L", "png"),
    "png, grey with alpha": lambda: saved("LA", "png"),
    "png, palette": lambda: saved("P", "png"),
    "png, palette of 16": lambda: saved("P", "png", bits=4),
    "png, palette with transparency": lambda: saved("P", "png", transparency=0),
    "png, colour": lambda: saved("RGB", "png"),
    "png, colour with alpha": lambda: saved("RGBA", "png"),
    "png, 16 bits": lambda: saved("I;16", "png"),
    "png, animated": lambda: animated("png"),
    "png, interlaced": interlaced_png,
    "jpeg, grey": lambda: saved("L", "jpeg"),
    "jpeg, colour": lambda: saved("RGB", "jpeg"),
    "jpeg, CMYK": lambda: saved("CMYK", "jpeg"),
    "jpeg, progressive": lambda: saved("RGB", "jpeg", (40, 24), progressive=True),
    "jpeg, with restarts": lambda: saved("RGB", "jpeg", (40, 24), restart_marker_blocks=1),
    "jpeg, with a thumbnail": jpeg_with_thumbnail,
    "jpeg, with an end in its comment": lambda: saved("RGB", "jpeg", comment=b"\xff\xd9\xff\xda"),
    "jpeg, with fill bytes": lambda: jpeg_with(b"\xff\xff\xff" + jpeg_segment(0xFE, b"filled")),
    "gif, grey": lambda: saved("L", "gif"),
    "gif, interlaced": lambda: saved("P", "gif", interlace=1),
    "gif, not interlaced": lambda: saved("P", "gif", interlace=0),
    "gif, transparent": lambda: saved("P", "gif", transparency=3),
    "gif, with an end in its comment": lambda: saved("P", "gif", comment=b";;,!;"),
    "gif, animated": lambda: animated("gif"),
    "webp, lossy": lambda: saved("RGB", "webp"),
    "webp, lossy with alpha": lambda: saved("RGBA", "webp", quality=10),
    "webp, lossless": lambda: saved("RGB", "webp", lossless=True),
    "webp, extended": lambda: saved("RGB", "webp", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "webp, animated": lambda: animated("webp"),
    "bmp, 1 bit": lambda: saved("1", "bmp"),
    "bmp, 4 bits": lambda: bmp(4, b"\x12\x34\x56\x71\x23\x40\0\0" * SIZE[1], colours=16),
    "bmp, 8 bits": lambda: saved("L", "bmp"),
    "bmp, 8 bits of colour": lambda: saved("P", "bmp"),
    "bmp, 16 bits": lambda: bmp(16, b"\x12\x34" * 12 * SIZE[1]),
    "bmp, 24 bits": lambda: saved("RGB", "bmp"),
    "bmp, 32 bits": lambda: saved("RGBA", "bmp"),
    "bmp, top down": lambda: bmp(24, (b"\x12\x34\x56" * 11 + b"\0" * 3) * SIZE[1], height=-SIZE[1]),
    "bmp, packed": lambda: bmp(8, b"\x0b\x01\0\0" * SIZE[1] + b"\0\1", compression=1, colours=2),
    "bmp, of OS/2": bmp_of_os2,
}

every_picture = pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES.keys())


def refusal(data: bytes) -> str:
    """The error's words."""
    with pytest.raises(TaskError, match=REFUSED) as caught:
        Image.from_bytes(data)
    return str(caught.value)


@every_picture
def test_format_and_size_are_what_pillow_finds(picture: Callable[[], bytes]) -> None:
    data = picture()
    image = Image.from_bytes(data)
    with Pillow.open(io.BytesIO(data)) as seen:
        seen.load()
        assert (image.format, image.width, image.height) == ((seen.format or "").lower(), *seen.size)


def frames(data: bytes) -> list[bytes]:
    """The pixels of every frame, as Pillow finds them."""
    with Pillow.open(io.BytesIO(data)) as seen:
        found: list[bytes] = []
        for frame in range(getattr(seen, "n_frames", 1)):
            seen.seek(frame)
            found.append(seen.convert("RGBA").tobytes())
        return found


def is_read(data: bytes) -> bool:
    """Whether Pillow reads a picture to its end."""
    try:
        with Pillow.open(io.BytesIO(data)) as seen:
            seen.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def is_taken(data: bytes) -> bool:
    try:
        Image.from_bytes(data)
    except TaskError as error:
        return not REFUSED.search(str(error))
    return True


# In bytes: the end mark of a PNG, the checksums before it, and what fills up its last block.
LONGEST_END = 25


@every_picture
def test_a_picture_that_lacks_pixels_is_refused_and_one_that_lacks_only_its_end_is_taken(
    picture: Callable[[], bytes],
) -> None:
    data = picture()
    pixels = frames(data)
    for end in range(0, len(data) - LONGEST_END, 1 + len(data) // 200):
        # Between two frames of a GIF nothing says that another one follows.
        if len(pixels) == 1 or not (is_read(data[:end]) and is_taken(data[:end])):
            refusal(data[:end])
    for cut in (data[:end] for end in range(max(0, len(data) - LONGEST_END), len(data))):
        # A picture that moves lacks pixels where one of its frames does; Pillow reads the first one.
        if is_read(cut) and len(pixels) == 1:
            assert is_taken(cut), cut
        # Pillow wants a byte more than the last pixel takes.
        mended = cut + {b"\xff\xd8": b"\xff\xd9", b"GI": b"\0;"}.get(cut[:2], b"")
        if is_taken(cut) and is_read(mended):
            assert frames(mended) == pixels, cut


@every_picture
def test_a_picture_that_has_lost_pixels_is_called_truncated(picture: Callable[[], bytes]) -> None:
    data = picture()
    cut = data[: len(data) - LONGEST_END]
    words = refusal(cut)
    assert f"the {Image.from_bytes(data).format} picture is truncated" in words
    assert f"{len(cut)} bytes" in words


END = {
    "the end mark of a png": lambda: PICTURES["png, colour"]()[:-12],
    "the checksum of the last chunk of a png": lambda: PICTURES["png, colour"]()[:-16],
    "the checksum of the pixels of a png": lambda: PICTURES["png, colour"]()[:-20],
    "the end mark of a png with passes": lambda: PICTURES["png, interlaced"]()[:-12],
    "the end mark of a png that moves": lambda: PICTURES["png, animated"]()[:-12],
    "the end mark of a gif": lambda: PICTURES["gif, grey"]()[:-1],
    "the end of the blocks of a gif": lambda: PICTURES["gif, grey"]()[:-2],
    "the end mark of a gif that moves": lambda: PICTURES["gif, animated"]()[:-1],
    "the end mark of a jpeg": lambda: PICTURES["jpeg, colour"]()[:-2],
    "half of the end mark of a jpeg": lambda: PICTURES["jpeg, colour"]()[:-1],
    "an end mark that became zeros": lambda: PICTURES["jpeg, grey"]()[:-2] + b"\0" * 9,
    "an end mark that became a line break": lambda: PICTURES["jpeg, CMYK"]()[:-2] + b"\r\n",
    "the end mark of a jpeg with restarts": lambda: PICTURES["jpeg, with restarts"]()[:-2],
    "the end mark of a jpeg before a cut comment": lambda: (
        PICTURES["jpeg, grey"]()[:-2] + b"\xff\xfe\x10\0comment"
    ),
    "what fills up the last row of a bmp": lambda: PICTURES["bmp, 24 bits"]()[:-3],
    "the end mark of a packed bmp": lambda: PICTURES["bmp, packed"]()[:-2],
}


@pytest.mark.parametrize("picture", END.values(), ids=END.keys())
def test_only_the_end_is_missing(picture: Callable[[], bytes]) -> None:
    assert (Image.from_bytes(picture()).width, Image.from_bytes(picture()).height) in [SIZE, (40, 24)]


@every_picture
@pytest.mark.parametrize("more", [b"\n", b"\0" * 300, b"<!-- served by a proxy -->", b"\xff\xd9;IEND"])
def test_what_follows_the_end_is_passed_over(picture: Callable[[], bytes], more: bytes) -> None:
    whole, longer = Image.from_bytes(picture()), Image.from_bytes(picture() + more)
    assert (longer.format, longer.width, longer.height) == (whole.format, whole.width, whole.height)


@pytest.mark.parametrize(
    ("name", "chunks"),
    [("webp, lossy", [b"VP8 "]), ("webp, lossless", [b"VP8L"]), ("webp, extended", [b"VP8X", b"VP8 "]),
     ("webp, lossy with alpha", [b"VP8X", b"ALPH"]), ("webp, animated", [b"VP8X", b"ANMF"])],
)  # fmt: skip
def test_the_webp_pictures_of_this_file_are_the_variants_they_are_named_for(
    name: str, chunks: list[bytes]
) -> None:
    assert all(chunk in PICTURES[name]() for chunk in chunks)


def test_the_progressive_jpeg_of_this_file_has_several_scans() -> None:
    assert PICTURES["jpeg, progressive"]().count(b"\xff\xda") > 3


class TestNoPicture:
    """Bytes that begin like a picture, or like something else, and are none."""

    @pytest.mark.parametrize(
        "data",
        [b"\0", b"GIF", b"\x89PNG", b"<html>502 Bad Gateway</html>", b"<svg/>", b"%PDF-1.7", b"II*\0 a TIFF",
         b"RIFF\x24\0\0\0WAVEfmt ", b"....\x24\0\0\0WEBPVP8 ", b"\x89PNG\n\x1a\n lost its return", b"data:,"],
    )  # fmt: skip
    def test_other_bytes_are_refused_by_what_they_begin_with(self, data: bytes) -> None:
        assert "not a PNG, JPEG, GIF, WebP or BMP picture" in refusal(data)
        assert repr(data[:12]) in refusal(data)

    def test_text_that_begins_with_bm_is_no_bmp(self) -> None:
        assert "not a PNG" in refusal(b"BMW builds cars, and this is a page about them. " * 20)

    def test_a_bmp_of_an_unknown_depth_is_none(self) -> None:
        assert "not a PNG" in refusal(bmp(5, b"\0" * 500))

    def test_a_png_has_to_begin_with_its_header(self) -> None:
        assert "not a PNG" in refusal(png(chunk(b"CgBI", b"\0" * 20), chunk(b"IDAT"), chunk(b"IEND")))

    @pytest.mark.parametrize("name", ["webp, lossy", "webp, lossless"])
    def test_a_webp_stream_has_a_signature_of_its_own(self, name: str) -> None:
        data = bytearray(PICTURES[name]())
        data[20:26] = b"\0" * 6
        assert "not a PNG" in refusal(bytes(data))

    def test_an_animation_without_a_canvas_is_none(self) -> None:
        frame = b"ANMF" + struct.pack("<I", 16) + b"\0" * 16
        assert "not a PNG" in refusal(b"RIFF" + struct.pack("<I", 4 + len(frame)) + b"WEBP" + frame)


class TestNoPixels:
    """Files that are whole by their own account and hold nothing to see."""

    HEAD = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0))

    def test_a_png_without_pixel_data(self) -> None:
        assert "the png picture is truncated" in refusal(png(self.HEAD, chunk(b"IEND")))

    @pytest.mark.parametrize("size", [(0, 2), (3, 0), (0, 0)])
    def test_a_png_of_no_width_or_height(self, size: tuple[int, int]) -> None:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0))
        words = refusal(png(head, chunk(b"IDAT"), chunk(b"IEND")))
        assert f"the png picture is {size[0]}x{size[1]} pixels" in words

    def test_a_jpeg_without_a_scan(self) -> None:
        data = PICTURES["jpeg, grey"]()
        assert "the jpeg picture is truncated" in refusal(data[: data.index(b"\xff\xda")] + b"\xff\xd9")

    def test_a_jpeg_without_a_frame(self) -> None:
        scan = jpeg_segment(0xDA, b"\1\1\0\0\x3f\0")
        assert "the jpeg picture is truncated" in refusal(b"\xff\xd8" + scan + b"\x12\x34\xff\xd9")

    def test_a_jpeg_that_is_cut_and_has_a_whole_thumbnail(self) -> None:
        data = PICTURES["jpeg, with a thumbnail"]()
        cut = data[: data.rindex(b"\xff\xda") + 20]
        assert b"\xff\xd9" in cut
        assert "the jpeg picture is truncated" in refusal(cut)

    def test_a_progressive_jpeg_with_an_end_inside_a_table_between_its_scans(self) -> None:
        data = PICTURES["jpeg, progressive"]()
        second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 1)
        cut = data[:second] + jpeg_segment(0xC4, b"\x10\xff\xd9")
        assert "the jpeg picture is truncated" in refusal(cut)
        Image.from_bytes(cut + data[second:])

    def test_a_gif_without_an_image(self) -> None:
        head = struct.pack("<6sHHBBB", b"GIF89a", 3, 2, 0, 0, 0)
        assert "the gif picture is truncated" in refusal(head + b";")

    @pytest.mark.parametrize(
        ("name", "lost"), [("png, animated", 40), ("png, animated", 120), ("gif, animated", 20)]
    )
    def test_an_animation_that_lacks_a_part_of_a_frame(self, name: str, lost: int) -> None:
        data = PICTURES[name]()[:-lost]
        assert is_read(data)  # its first frame
        assert "picture is truncated" in refusal(data)

    def test_an_animated_gif_that_announces_one_more_frame(self) -> None:
        data = PICTURES["gif, animated"]()[:-1]
        assert is_taken(data)
        assert "picture is truncated" in refusal(data + b"\x21\xf9\x04\0\0\0\0\0")

    def test_no_decoder_reads_a_jpeg_with_its_height_after_its_pixels(self) -> None:
        data = bytearray(PICTURES["jpeg, grey"]())
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 2] = b"\0\0"
        data[-2:] = jpeg_segment(0xDC, struct.pack(">H", SIZE[1])) + b"\xff\xd9"
        assert not is_read(bytes(data))
        assert f"the jpeg picture is {SIZE[0]}x0 pixels" in refusal(bytes(data))

    def test_an_extended_webp_without_an_image(self) -> None:
        body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + b"\0" * 4 + b"\2\0\0\1\0\0"
        assert "the webp picture is truncated" in refusal(b"RIFF" + struct.pack("<I", len(body)) + body)

    def test_a_webp_whose_image_is_longer_than_its_file(self) -> None:
        data = bytearray(PICTURES["webp, lossy"]())
        data[16:20] = struct.pack("<I", len(data))
        assert "the webp picture is truncated" in refusal(bytes(data))

    def test_a_bmp_whose_pixels_would_lie_in_its_header(self) -> None:
        whole = bytearray(PICTURES["bmp, 24 bits"]())
        whole[10:14] = struct.pack("<I", 0)
        Image.from_bytes(bytes(whole))
        assert "the bmp picture is truncated" in refusal(bytes(whole[:-40]))


class TestStrayBytes:
    """What real files have, and every viewer forgives."""

    def test_between_the_blocks_of_a_gif(self) -> None:
        data = PICTURES["gif, not interlaced"]()
        assert data.endswith(b"\0;")
        assert Image.from_bytes(data[:-1] + b"\0\0\0;").width == SIZE[0]

    def test_before_a_marker_of_a_jpeg(self) -> None:
        head, tables = PICTURES["jpeg, grey"]().split(b"\xff\xdb", 1)
        assert Image.from_bytes(head + b"\0\0\0\xff\xdb" + tables).width == SIZE[0]


class TestJpegScans:
    """The blocks of a JPEG are counted where its end mark is missing."""

    def test_a_scan_for_each_component(self) -> None:
        data = flat_jpeg(separate=True)
        with Pillow.open(io.BytesIO(data)) as seen:
            seen.load()
            assert seen.size == (20, 12)
        assert is_taken(data)
        assert is_taken(data[:-2])
        for lost in range(3, 20):
            assert not is_taken(data[:-lost])

    def test_one_scan_for_all(self) -> None:
        data = flat_jpeg(separate=False)
        assert is_read(data)
        assert is_taken(data[:-2])
        assert not is_taken(data[:-3])

    def test_one_too_long_to_be_looked_into_needs_its_end(self) -> None:
        data = saved("L", "jpeg", (900, 1300), quality=100)
        assert len(data) > 1_000_000
        assert is_taken(data)
        assert not is_taken(data[:-2])

    def test_a_progressive_one_needs_its_end_as_it_does_in_pillow(self) -> None:
        data = PICTURES["jpeg, progressive"]()[:-2]
        assert not is_read(data)
        assert not is_taken(data)

    @pytest.mark.parametrize("marker", [0x02, 0xBF, 0xE3, 0xEE, 0xFE])
    def test_a_marker_in_damaged_pixels_does_not_hide_the_end(self, marker: int) -> None:
        data = saved("L", "jpeg", (40, 24), quality=95)
        place = data.index(b"\xff\xda") + 60
        assert is_taken(data[:place] + bytes([0xFF, marker, 0x7F]) + data[place + 3 :])

    @pytest.mark.parametrize("length", [0, 1, 2, 5])
    def test_a_segment_of_a_wrong_length_is_passed_over(self, length: int) -> None:
        data = jpeg_with(b"\xff\xec\0" + bytes([length]) + b"AAAAA")
        assert is_read(data)
        assert is_taken(data)


def flat_jpeg(*, separate: bool) -> bytes:
    """A JPEG of one colour, whose blocks are two bits each, with a scan for each component or one for all."""
    components = [(1, 0x22), (2, 0x11), (3, 0x11)]
    blocks = {1: 3 * 2, 2: 2 * 1, 3: 2 * 1} if separate else {1: 2 * 6, 2: 0, 3: 0}
    head = struct.pack(">BHHB", 8, 12, 20, 3) + b"".join(bytes([name, by, 0]) for name, by in components)
    one_code = b"\1" + b"\0" * 15 + b"\0"
    data = b"\xff\xd8" + jpeg_segment(0xDB, b"\0" + b"\1" * 64) + jpeg_segment(0xC0, head)
    data += jpeg_segment(0xC4, b"\0" + one_code + b"\x10" + one_code)
    for names in [[1], [2], [3]] if separate else [[1, 2, 3]]:
        chosen = b"".join(bytes([name, 0]) for name in names)
        bits = "00" * sum(blocks[name] for name in names)
        bits += "1" * (-len(bits) % 8)
        data += jpeg_segment(0xDA, bytes([len(names)]) + chosen + b"\0\x3f\0")
        data += int(bits, 2).to_bytes(len(bits) // 8, "big")
    return data + b"\xff\xd9"


class TestGifScreens:
    def test_the_screen_grows_with_a_first_frame_that_does_not_fit_as_it_does_in_pillow(self) -> None:
        data = bytearray(PICTURES["gif, grey"]())
        data[6:10] = b"\0\0\0\0"
        with Pillow.open(io.BytesIO(data)) as seen:
            assert seen.size == SIZE
        image = Image.from_bytes(bytes(data))
        assert (image.width, image.height) == SIZE


class TestPackedPixels:
    """What a PNG's data unpack to is counted, a part at a time."""

    HEAD = chunk(b"IHDR", struct.pack(">IIBBBBB", 300, 200, 8, 2, 0, 0, 0))
    ROWS = zlib.compress((b"\0" + b"\x7f" * 900) * 200)

    def test_pixels_in_many_chunks(self) -> None:
        pieces = [chunk(b"IDAT", self.ROWS[at : at + 1]) for at in range(len(self.ROWS))]
        assert is_taken(png(self.HEAD, *pieces, chunk(b"IEND")))

    def test_rows_that_are_cut_off(self) -> None:
        packed = zlib.compressobj()
        rows = packed.compress(b"\0" + b"\x7f" * 900) + packed.flush(zlib.Z_SYNC_FLUSH)
        data = png(self.HEAD, chunk(b"IDAT", rows), chunk(b"IEND"))
        assert not is_read(data)
        assert not is_taken(data)

    def test_fewer_rows_than_it_says_without_being_cut_off(self) -> None:
        packed = zlib.compress((b"\0" + b"\x7f" * 900) * 199)
        data = png(self.HEAD, chunk(b"IDAT", packed), chunk(b"IEND"))
        assert is_read(data)
        assert is_taken(data)

    def test_more_than_the_rows_is_passed_over(self) -> None:
        packed = zlib.compress((b"\0" + b"\x7f" * 900) * 200 + b"\0" * 30_000_000)
        assert is_taken(png(self.HEAD, chunk(b"IDAT", packed), chunk(b"IEND")))

    def test_pixels_that_are_not_packed_at_all(self) -> None:
        assert not is_taken(png(self.HEAD, chunk(b"IDAT", b"\0" * 5000), chunk(b"IEND")))

    def test_a_vast_picture_is_taken_by_its_chunks(self) -> None:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0))
        data = png(head, chunk(b"IDAT", self.ROWS))
        assert is_taken(data)
        assert not is_taken(data[:-6])


OPTIONS: dict[str, list[dict[str, object]]] = {
    "png": [{}, {"optimize": True}, {"compress_level": 0}],
    "jpeg": [{}, {"optimize": True}, {"restart_marker_blocks": 2}, {"quality": 100, "subsampling": 0}],
    "gif": [{}, {"interlace": 0}, {"optimize": True}, {"comment": b"remark"}],
    "bmp": [{}],
    "webp": [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}],
}
MODES = {
    "png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "jpeg": ["L", "RGB", "CMYK"],
    "gif": ["1", "L", "P", "RGB"],
    "bmp": ["1", "L", "P", "RGB", "RGBA"],
    "webp": ["RGB", "RGBA"],
}


@given(st.data())
def test_a_cut_that_pillow_reads_is_taken_and_one_that_pillow_does_not_lacks_no_more_than_an_end(
    data: st.DataObject,
) -> None:
    name = data.draw(st.sampled_from([*OPTIONS]))
    options = data.draw(st.sampled_from(OPTIONS[name]))
    size = data.draw(st.tuples(st.integers(1, 70), st.integers(1, 40)))
    whole = saved(data.draw(st.sampled_from(MODES[name])), name, size, **options)
    assert is_taken(whole)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    if is_read(cut):
        assert is_taken(cut)
    elif is_taken(cut):
        assert len(whole) - len(cut) <= LONGEST_END


@given(st.binary(max_size=400))
def test_any_bytes_are_a_picture_or_a_task_error(data: bytes) -> None:
    picture_or_refusal(data)


@given(
    st.sampled_from(
        [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"RIFF\x40\0\0\0WEBP", b"BM"]
    ),
    st.binary(max_size=200),
)
def test_any_bytes_after_a_signature_are_a_picture_or_a_task_error(signature: bytes, rest: bytes) -> None:
    picture_or_refusal(signature + rest)


@given(st.sampled_from([*PICTURES]), st.data())
def test_a_damaged_picture_is_a_picture_or_a_task_error(name: str, data: st.DataObject) -> None:
    damaged = bytearray(PICTURES[name]())
    places = st.integers(0, len(damaged) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        damaged[place] = value
    start, end = sorted(data.draw(st.tuples(places, places)))
    picture_or_refusal(bytes(damaged))
    picture_or_refusal(bytes(damaged[:start] + damaged[end:]))


def picture_or_refusal(data: bytes) -> None:
    try:
        image = Image.from_bytes(data)
    except TaskError as error:
        words = str(error)
    else:
        words = "" if image.width and image.height else f"taken: {image}"
    assert not words or REFUSED.search(words), words
