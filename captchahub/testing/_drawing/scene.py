"""The landscape that a puzzle is cut from: sky, sun or moon, mountains, hills with trees."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import attrs
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]

Skyline = Callable[[float], float]
"""From x to y, in pixels."""

_SMOOTH = 2


@attrs.frozen
class _Mood:
    """The colours of a time of day, from the top of the sky to the nearest hill."""

    sky: Colour
    horizon: Colour
    light: Colour
    far: Colour
    near: Colour
    stars: bool = False


_MOODS = (
    _Mood((96, 165, 226), (224, 240, 250), (255, 244, 200), (140, 165, 190), (56, 122, 84)),
    _Mood((72, 61, 120), (250, 176, 128), (255, 226, 170), (142, 92, 128), (58, 50, 84)),
    _Mood((250, 180, 150), (255, 236, 205), (255, 250, 230), (206, 140, 132), (104, 84, 96)),
    _Mood((14, 22, 54), (62, 84, 140), (236, 238, 225), (52, 70, 116), (18, 30, 56), stars=True),
    _Mood((64, 156, 178), (214, 240, 226), (255, 250, 214), (110, 170, 166), (34, 104, 96)),
)

_LAYERS = 4


def draw_scene(width: int, height: int, chance: random.Random) -> Image.Image:
    """A landscape of this size in pixels."""
    mood = chance.choice(_MOODS)
    size = (width * _SMOOTH, height * _SMOOTH)
    scene = _sky(size, mood)
    if mood.stars:
        _draw_stars(scene, chance)
    _draw_light(scene, mood, chance)
    for layer in range(_LAYERS):
        _draw_ridge(scene, mood, layer / (_LAYERS - 1), chance)
    return scene.reduce(_SMOOTH)


def _sky(size: tuple[int, int], mood: _Mood) -> Image.Image:
    width, height = size
    sky = Image.new("RGB", size)
    draw = ImageDraw.Draw(sky)
    for y in range(height):
        colour = _mix(mood.sky, mood.horizon, min(1.0, y / (height * 0.7)))
        draw.line((0, y, width, y), fill=colour)
    return sky


def _draw_stars(scene: Image.Image, chance: random.Random) -> None:
    draw = ImageDraw.Draw(scene)
    for _ in range(60):
        x, y = chance.uniform(0, scene.width), chance.uniform(0, scene.height * 0.55)
        radius = chance.uniform(0.6, 2.0)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(220, 226, 245))


def _draw_light(scene: Image.Image, mood: _Mood, chance: random.Random) -> None:
    """The sun or the moon, with a glow around it."""
    x, y = scene.width * chance.uniform(0.15, 0.85), scene.height * chance.uniform(0.14, 0.34)
    radius = scene.height * chance.uniform(0.06, 0.10)
    glow = Image.new("L", scene.size, 0)
    _disc(glow, x, y, radius * 2.2, 110)
    glow = glow.filter(ImageFilter.GaussianBlur(radius))
    _disc(glow, x, y, radius, 255)
    scene.paste(Image.new("RGB", scene.size, mood.light), (0, 0), glow)


def _disc(mask: Image.Image, x: float, y: float, radius: float, fill: int) -> None:
    ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _draw_ridge(scene: Image.Image, mood: _Mood, nearness: float, chance: random.Random) -> None:
    width, height = scene.size
    skyline = _skyline(height, nearness, chance)
    colour = _mix(mood.far, mood.near, nearness)
    draw = ImageDraw.Draw(scene)
    edge = [(float(x), skyline(x)) for x in range(0, width + 4, 4)]
    draw.polygon([(0.0, float(height)), *edge, (float(width), float(height))], fill=colour)
    if nearness > 0.5:
        wood = _mix(colour, (8, 16, 20), 0.3)
        _plant_trees(draw, skyline, width=width, nearness=nearness, colour=wood, chance=chance)


def _skyline(height: int, nearness: float, chance: random.Random) -> Skyline:
    """Sharp peaks far away, round hills near by."""
    base = height * (0.50 + 0.36 * nearness)
    waves = [
        (
            height * (0.11 - 0.06 * nearness) / rank,
            rank * chance.uniform(0.006, 0.010),
            chance.uniform(0, 6.3),
        )
        for rank in (1, 2, 4)
    ]
    if nearness < 0.5:
        return lambda x: (
            base + sum(size * (2 * abs(math.sin(x * rate + phase)) - 1) for size, rate, phase in waves)
        )
    return lambda x: base + sum(size * math.sin(x * rate + phase) for size, rate, phase in waves)


def _plant_trees(
    draw: ImageDraw.ImageDraw,
    skyline: Skyline,
    *,
    width: int,
    nearness: float,
    colour: Colour,
    chance: random.Random,
) -> None:
    for _ in range(22):
        x = chance.uniform(0, width)
        tall = chance.uniform(26, 52) * (0.5 + 0.7 * nearness)
        foot = skyline(x) + tall * 0.15
        for tier in range(3):
            top, half = foot - tall * (1 - 0.24 * tier), tall * (0.13 + 0.07 * tier)
            draw.polygon(
                [(x, top), (x - half, top + tall * 0.45), (x + half, top + tall * 0.45)], fill=colour
            )


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
