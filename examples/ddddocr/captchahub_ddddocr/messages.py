"""What the server's errors mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from captchahub.errors import JobFailed, JobRefused, ProviderError, ServiceUnavailable
from captchahub.words import fields_of, text_of

__all__ = ["SERVICE", "meaning", "said"]

SERVICE: Final = "ddddocr"
"""What errors call the service."""

# By how they begin: the reason follows. Another engine may read what this one can't, so none ends the solve.
_ERRORS: Final[Mapping[str, type[ProviderError]]] = {
    "OCR识别失败": JobFailed,  # recognition failed
    "无法读取图片": JobRefused,  # the picture can't be read
    "初始化OCR失败": ServiceUnavailable,  # the engine could not be started
}


def said(detail: object) -> str:
    """The server's own words: a text, or of a list of mistakes in the request the first one's."""
    if not isinstance(detail, list):
        return text_of(detail)
    mistakes = cast("list[object]", detail)
    return text_of(fields_of(mistakes[0]).get("msg")) if mistakes else ""


def meaning(words: str) -> type[ProviderError] | None:
    """The error that these words stand for; None for others."""
    return next((error for start, error in _ERRORS.items() if words.startswith(start)), None)
