"""What the tests of the plugin share: a key, pictures, and a provider for any dialect."""

from __future__ import annotations

import io
from typing import Any, Protocol

import pytest
from captchahub_createtask import CreateTaskProvider, CreateTaskSettings
from captchahub_createtask.dialects import DialectName
from PIL import Image as Pillow

from captchahub import Image
from captchahub.provider import Secret

KEY = "kEy-7f3a91c2e8-b5d0"


class Configure(Protocol):
    """Makes a provider as a configuration with these keys would: ``configure("2captcha", max_side=50)``."""

    def __call__(self, dialect: DialectName, /, **keys: Any) -> CreateTaskProvider: ...


class Draw(Protocol):
    """Makes a picture of that size, in pixels; ``noisy`` for one of about a byte a pixel."""

    def __call__(self, width: int, height: int, /, *, noisy: bool = False) -> Image: ...


@pytest.fixture(scope="session")
def key() -> str:
    return KEY


@pytest.fixture(scope="session")
def configure() -> Configure:
    def configured(dialect: DialectName, /, **keys: Any) -> CreateTaskProvider:
        if dialect == "custom":
            keys = {"base_url": "https://solver.example"} | keys
        return CreateTaskProvider(CreateTaskSettings(dialect, Secret(KEY), **keys))

    return configured


@pytest.fixture(scope="session")
def provider(configure: Configure) -> CreateTaskProvider:
    return configure("2captcha")


@pytest.fixture(scope="session")
def draw() -> Draw:
    def drawn(width: int, height: int, /, *, noisy: bool = False) -> Image:
        size = (width, height)
        buffer = io.BytesIO()
        (Pillow.effect_noise(size, 100) if noisy else Pillow.new("L", size, 255)).save(buffer, "PNG")
        return Image.from_bytes(buffer.getvalue())

    return drawn


@pytest.fixture(scope="session")
def picture(draw: Draw) -> Image:
    return draw(200, 60, noisy=True)
