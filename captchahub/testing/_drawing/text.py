"""The pixels of a text captcha."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache, lru_cache

from captcha.image import ImageCaptcha
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_HEIGHT = 90

_CHARACTER_WIDTH = 33

_MARGIN = 20
_FONT_SIZES = (54, 60, 66)

# ImageCaptcha lets the paper shine through dark inks, so these are of middling brightness.
_INKS = ((30, 110, 215), (214, 52, 84), (16, 140, 104), (146, 74, 204), (206, 98, 20), (70, 104, 150))

_PAPERS = ((250, 246, 236), (238, 244, 250), (244, 240, 250), (240, 248, 240), (252, 243, 240))

# Unicode will never give this code a meaning, so that every font draws its sign for the unknown.
_NO_CHARACTER = "\uffff"


class _Captcha(ImageCaptcha):
    # Gaps at random would make one word look like two.
    word_space_probability = 1.0
    character_rotate = (-22, 22)
    word_offset_dx = 0.08


def draw_text(text: str, chance: random.Random) -> Image.Image:
    """The text, bent and with noise over it. Raises ValueError for characters that the font can't show."""
    ink, paper = chance.choice(_INKS), chance.choice(_PAPERS)
    captcha = _Captcha(_CHARACTER_WIDTH * len(text), _HEIGHT, font_sizes=_FONT_SIZES)
    _check_characters(text)
    letters = captcha.create_captcha_image(text, ink, paper)
    picture = Image.new("RGB", (letters.width + 2 * _MARGIN, _HEIGHT), paper)
    picture.paste(letters, (_MARGIN, 0))
    captcha.create_noise_dots(picture, ink, number=6 * len(text))
    for _ in range(2):
        captcha.create_noise_curve(picture, ink)
    return picture.filter(ImageFilter.SMOOTH)


def _check_characters(text: str) -> None:
    missing = [character for character in dict.fromkeys(text) if not _can_show(character)]
    if missing:
        listed = ", ".join(map(repr, missing))
        raise ValueError(f"the font can't show {listed}; draw letters, digits and signs that it has")


# To find out takes as long as to draw the character.
@lru_cache(maxsize=1024)
def _can_show(character: str) -> bool:
    """Whether every font has ink for it, other than what stands for all that it lacks; spaces need none."""
    if character == " " or not character.isprintable():
        return character == " "
    return all(_ink(font, character) not in (_ink(font, _NO_CHARACTER), _ink(font, " ")) for font in _fonts())


@cache
def _fonts() -> Sequence[ImageFont.FreeTypeFont]:
    return _Captcha(font_sizes=_FONT_SIZES).truefonts


def _ink(font: ImageFont.FreeTypeFont, character: str) -> bytes:
    side = round(3 * font.size)
    paper = Image.new("L", (side, side))
    # An accent by itself reaches to the left of its place.
    ImageDraw.Draw(paper).text((font.size, font.size / 2), character, fill=255, font=font)
    return paper.tobytes()
