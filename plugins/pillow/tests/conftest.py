"""Pictures of any format and mode, drawn for the tests."""

from __future__ import annotations

import io
from typing import Any, Protocol

import pytest
from PIL import Image as Pil

from captchahub import Image


class Draw(Protocol):
    """Makes a picture of a format, size and mode. A ``noisy`` one cannot be compressed well."""

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


@pytest.fixture(scope="session")
def draw() -> Draw:
    def drawn(
        name: str,
        width: int = 64,
        height: int = 48,
        /,
        *,
        mode: str = "RGB",
        noisy: bool = False,
        **saved: Any,
    ) -> Image:
        size, buffer = (width, height), io.BytesIO()
        picture = Pil.effect_noise(size, 100) if noisy else Pil.radial_gradient("L").crop((0, 0, *size))
        picture.convert(mode).save(buffer, name, **saved)
        return Image.from_bytes(buffer.getvalue())

    return drawn
