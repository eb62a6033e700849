"""What the tests of the plugin share: a provider, its token, and a picture."""

from __future__ import annotations

import io

import pytest
from captchahub_omocaptcha import OmoProvider, OmoSettings
from PIL import Image as Pillow

from captchahub import Image
from captchahub.provider import Secret

TOKEN = "tOkEn-7f3a91c2e8"


@pytest.fixture(scope="session")
def token() -> str:
    return TOKEN


@pytest.fixture(scope="session")
def provider() -> OmoProvider:
    return OmoProvider(OmoSettings(Secret(TOKEN)))


@pytest.fixture(scope="session")
def picture() -> Image:
    buffer = io.BytesIO()
    Pillow.new("RGB", (120, 200), "white").save(buffer, "PNG")
    return Image.from_bytes(buffer.getvalue())
