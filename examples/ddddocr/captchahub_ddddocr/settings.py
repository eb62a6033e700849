"""What a user configures."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs
from captchahub.provider import service_url

__all__ = ["DdddocrSettings", "Model"]

Model: TypeAlias = Literal["usual", "old", "beta"]


@attrs.frozen
class DdddocrSettings:
    """The keys of a ddddocr server; it wants no key of an account.

    Raises ValueError for an unusable address.
    """

    base_url: str = attrs.field(default="http://127.0.0.1:8000", converter=service_url)
    """Where the server is: ``http`` on this machine, as ``ddddocr api`` starts it, or ``https``."""
    model: Model = "usual"
    """Which of ddddocr's models reads the pictures."""
