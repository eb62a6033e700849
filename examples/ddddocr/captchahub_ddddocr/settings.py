"""The settings of the provider."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs
from captchahub.provider import service_url

__all__ = ["DdddocrSettings", "Model"]

Model: TypeAlias = Literal["usual", "old", "beta"]


@attrs.frozen
class DdddocrSettings:
    """The keys of a ddddocr server, which has no accounts.

    Raises ValueError for an invalid address.
    """

    base_url: str = attrs.field(default="http://127.0.0.1:8000", converter=service_url)
    """The address of the server: ``http`` on this machine, as ``ddddocr api`` starts it, or ``https``."""
    model: Model = "usual"
    """The model of ddddocr that reads the pictures."""
