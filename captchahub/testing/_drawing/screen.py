"""The pixels of a phone's screen with a puzzle on it."""

from __future__ import annotations

import random

import attrs
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from captchahub.tasks import Point
from captchahub.testing._drawing.scene import draw_scene

_SMOOTH = 3
"""How many times larger shapes are drawn before they are shrunk: Pillow draws without anti-aliasing."""

_DESIGN_WIDTH = 540
"""The width in pixels that the measures below are made for."""

_PAGE = (242, 244, 248)

_CARD = (255, 255, 255)

_TRACK = (226, 231, 239)

_INK = (28, 33, 44)

_MUTED = (122, 131, 148)

_ACCENT = (45, 108, 223)

_SHADE = (8, 12, 24)


@attrs.frozen
class Screen:
    """A drawn screen and where things are on it, in pixels."""

    picture: Image.Image
    handle: Point
    piece: Point
    gap: Point
    grip: float


@attrs.frozen
class _Layout:
    """The places on a screen of this size, in pixels."""

    width: int
    height: int

    def px(self, measure: float) -> int:
        return round(measure * self.width / _DESIGN_WIDTH)

    @property
    def scene(self) -> tuple[int, int, int, int]:
        left, top = self.px(44), round(self.height * 0.27)
        return left, top, self.width - left, top + self.px(290)

    @property
    def card(self) -> tuple[int, int, int, int]:
        left, top, right, bottom = self.scene
        return left - self.px(20), top - self.px(96), right + self.px(20), bottom + self.px(134)

    @property
    def track(self) -> tuple[int, int, int, int]:
        left, _, right, bottom = self.scene
        return left, bottom + self.px(42), right, bottom + self.px(104)

    @property
    def handle_radius(self) -> int:
        return self.px(31)

    @property
    def piece(self) -> int:
        """The side of the piece's body, without its knobs."""
        return self.px(72)

    @property
    def knob(self) -> int:
        return self.px(15)


def draw_screen(width: int, height: int, chance: random.Random) -> Screen:
    """A screen with the piece at the left of the picture and its gap somewhere to the right of it.

    Raises ValueError where the screen is too small or not upright, so that things would not fit on it.
    """
    if width < 240 or height < 1.6 * width:
        raise ValueError(f"a phone's screen of {width}x{height} is too small or too wide: try 540x1140")
    layout = _Layout(width, height)
    screen = Image.new("RGB", (width, height), _PAGE)
    _draw_chrome(screen, layout, chance)
    _draw_card(screen, layout)
    piece, gap = _draw_puzzle(screen, layout, chance)
    handle = _draw_slider(screen, layout, piece.x)
    return Screen(screen, handle, piece, gap, grip=float(layout.handle_radius))


def _draw_puzzle(screen: Image.Image, layout: _Layout, chance: random.Random) -> tuple[Point, Point]:
    left, top, right, bottom = layout.scene
    width, height = right - left, bottom - top
    scene = draw_scene(width, height, chance)
    mask = _piece_mask(layout)
    side = mask.width
    y = chance.randint(layout.px(8), height - side - layout.px(8))
    gap_x = chance.randint(round(width * 0.36), width - side - layout.px(10))
    piece_x = layout.px(8)
    puzzle = _with_gap(scene, mask, (gap_x, y), layout)
    puzzle = _with_piece(puzzle, scene.crop((gap_x, y, gap_x + side, y + side)), mask, (piece_x, y), layout)
    screen.paste(puzzle, (left, top), _rounded_mask(puzzle.size, layout.px(14)))
    centre = side / 2
    return (
        Point(left + piece_x + centre, top + y + centre),
        Point(left + gap_x + centre, top + y + centre),
    )


def _piece_mask(layout: _Layout) -> Image.Image:
    """A jigsaw piece: a knob on top and at the right, a hole at the left."""
    knob = layout.knob * _SMOOTH
    start, end = knob, knob + layout.piece * _SMOOTH
    side, middle, reach = end + knob, (start + end) // 2, knob // 6
    mask = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(mask)
    draw.rounded_rectangle((start, start, end, end), radius=knob // 3, fill=255)
    _disc(draw, middle, start - reach + knob // 4, knob, 255)
    _disc(draw, end + reach - knob // 4, middle, knob, 255)
    _disc(draw, start + reach, middle, knob, 0)
    return mask.reduce(_SMOOTH)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: int) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _rim(mask: Image.Image, width: int) -> Image.Image:
    """The mask's outline, inside its edge."""
    inner = mask.filter(ImageFilter.MinFilter(2 * max(1, width) + 1))
    return ImageChops.subtract(mask, inner)


def _faded(mask: Image.Image, share: float) -> Image.Image:
    return ImageChops.multiply(mask, Image.new("L", mask.size, round(255 * share)))


def _with_gap(scene: Image.Image, mask: Image.Image, at: tuple[int, int], layout: _Layout) -> Image.Image:
    picture = scene.copy()
    picture.paste(Image.new("RGB", mask.size, _SHADE), at, _faded(mask, 0.62))
    rim = _faded(_rim(mask, layout.px(2)), 0.45)
    picture.paste(Image.new("RGB", mask.size, (255, 255, 255)), at, rim)
    return picture


def _with_piece(
    picture: Image.Image, piece: Image.Image, mask: Image.Image, at: tuple[int, int], layout: _Layout
) -> Image.Image:
    blur = layout.px(5)
    shadow = Image.new("L", picture.size, 0)
    shadow.paste(mask, (at[0] + layout.px(2), at[1] + layout.px(4)))
    shadow = _faded(shadow.filter(ImageFilter.GaussianBlur(blur)), 0.65)
    picture.paste(Image.new("RGB", picture.size, (0, 0, 0)), (0, 0), shadow)
    picture.paste(piece, at, mask)
    picture.paste(Image.new("RGB", mask.size, (255, 255, 255)), at, _rim(mask, layout.px(2)))
    return picture


def _draw_card(screen: Image.Image, layout: _Layout) -> None:
    left, top, right, bottom = layout.card
    shadow = Image.new("L", screen.size, 0)
    radius = layout.px(24)
    ImageDraw.Draw(shadow).rounded_rectangle(
        (left, top + layout.px(8), right, bottom + layout.px(8)), radius, fill=60
    )
    shadow = shadow.filter(ImageFilter.GaussianBlur(layout.px(14)))
    screen.paste(Image.new("RGB", screen.size, (40, 52, 84)), (0, 0), shadow)
    _rounded(screen, layout.card, radius, _CARD)
    draw = ImageDraw.Draw(screen)
    inner = left + layout.px(20)
    _write(
        draw, (inner, top + layout.px(34)), "Are you a person?", size=layout.px(28), fill=_INK, anchor="lm"
    )
    _write(
        draw,
        (inner, top + layout.px(67)),
        "Slide the piece into its gap",
        size=layout.px(19),
        fill=_MUTED,
        anchor="lm",
    )


def _draw_slider(screen: Image.Image, layout: _Layout, piece_x: float) -> Point:
    left, top, right, bottom = layout.track
    radius = layout.handle_radius
    y = (top + bottom) / 2
    _rounded(screen, layout.track, (bottom - top) // 2, _TRACK)
    draw = ImageDraw.Draw(screen)
    _write(
        draw,
        ((left + right) / 2 + radius, y),
        "Slide to verify",
        size=layout.px(20),
        fill=_MUTED,
        anchor="mm",
    )
    x = max(left + radius, round(piece_x))
    _rounded(screen, (left, top, round(x + radius), bottom), radius, (205, 221, 250))
    spot = (round(x - radius), round(y - radius), round(x + radius), round(y + radius))
    _rounded(screen, spot, radius, _ACCENT)
    _draw_arrow(draw, x, y, layout)
    return Point(float(x), y)


def _draw_arrow(draw: ImageDraw.ImageDraw, x: float, y: float, layout: _Layout) -> None:
    arm, width = layout.px(9), layout.px(4)
    tip, barb = (x + arm, y), arm * 0.9
    draw.line(((x - arm, y), tip), fill=_CARD, width=width)
    draw.line(
        ((x + arm - barb, y - barb), tip, (x + arm - barb, y + barb)), fill=_CARD, width=width, joint="curve"
    )


def _draw_chrome(screen: Image.Image, layout: _Layout, chance: random.Random) -> None:
    """The phone's own things: status bar, title bar, the line at the bottom."""
    draw = ImageDraw.Draw(screen)
    px, width = layout.px, layout.width
    draw.rectangle((0, 0, width, px(112)), fill=_CARD)
    clock = f"{chance.randint(7, 22)}:{chance.randint(0, 59):02}"
    _write(draw, (px(36), px(28)), clock, size=px(22), fill=_INK, anchor="lm")
    _draw_signal(draw, layout)
    _draw_battery(screen, layout, chance.uniform(0.3, 1.0))
    _write(draw, (layout.width / 2, px(82)), "Sign in", size=px(24), fill=_INK, anchor="mm")
    draw.line(
        ((px(38), px(73)), (px(29), px(82)), (px(38), px(91))), fill=_ACCENT, width=px(3), joint="curve"
    )
    draw.line(((0, px(112)), (width, px(112))), fill=_TRACK, width=1)
    _draw_fields(screen, layout)
    bottom = layout.height - px(16)
    _rounded(screen, (width // 2 - px(80), bottom - px(6), width // 2 + px(80), bottom), px(3), _INK)


def _draw_signal(draw: ImageDraw.ImageDraw, layout: _Layout) -> None:
    px = layout.px
    for bar in range(4):
        x = layout.width - px(126) + bar * px(7)
        draw.rectangle((x, px(36) - px(5 + 4 * bar), x + px(4), px(36)), fill=_INK)


def _draw_battery(screen: Image.Image, layout: _Layout, level: float) -> None:
    px, right = layout.px, layout.width - layout.px(36)
    _rounded(screen, (right - px(42), px(19), right, px(38)), px(5), _INK)
    _rounded(screen, (right - px(40), px(21), right - px(2), px(36)), px(4), _CARD)
    _rounded(screen, (right - px(38), px(23), round(right - px(38) + px(34) * level), px(34)), px(2), _INK)
    _rounded(screen, (right + px(2), px(25), right + px(5), px(32)), px(1), _INK)


def _draw_fields(screen: Image.Image, layout: _Layout) -> None:
    """A form behind the card, as far as the screen is tall enough for it."""
    px = layout.px
    top = layout.card[3] + px(44)
    for label in ("Name", "Password"):
        if top + px(66) > layout.height - px(60):
            return
        _rounded(screen, (px(24), top, layout.width - px(24), top + px(66)), px(16), _CARD)
        _write(ImageDraw.Draw(screen), (px(46), top + px(33)), label, size=px(20), fill=_MUTED, anchor="lm")
        top += px(84)


def _rounded(
    screen: Image.Image, box: tuple[int, int, int, int], radius: int, fill: tuple[int, int, int]
) -> None:
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    screen.paste(Image.new("RGB", size, fill), (left, top), _rounded_mask(size, radius))


def _rounded_mask(size: tuple[int, int], radius: int) -> Image.Image:
    width, height = size[0] * _SMOOTH, size[1] * _SMOOTH
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height - 1), radius * _SMOOTH, fill=255)
    return mask.reduce(_SMOOTH)


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    *,
    size: int,
    fill: tuple[int, int, int],
    anchor: str,
) -> None:
    draw.text(at, text, font=ImageFont.load_default(size), fill=fill, anchor=anchor)
