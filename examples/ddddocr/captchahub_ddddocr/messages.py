"""The error_class of the server's error messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from captchahub.errors import JobFailed, JobRefused, ProviderError, ServiceUnavailable
from captchahub.words import fields_of, text_of

__all__ = ["SERVICE", "error_class", "message_of"]

SERVICE: Final = "ddddocr"
"""The service's name in error messages."""

# By prefix, because a reason follows. No error ends the solve: another engine may read the picture.
_ERRORS: Final[Mapping[str, type[ProviderError]]] = {
    "OCR识别失败": JobFailed,  # recognition failed
    "无法读取图片": JobRefused,  # the picture can't be read
    "初始化OCR失败": ServiceUnavailable,  # the engine could not be started
}


def message_of(detail: object) -> str:
    """Return the server's message: a text, or the first of a list of errors in the request."""
    if not isinstance(detail, list):
        return text_of(detail)
    errors = cast("list[object]", detail)
    return text_of(fields_of(errors[0]).get("msg")) if errors else ""


def error_class(message: str) -> type[ProviderError] | None:
    """Return the error class of a message, or None if it is unknown."""
    return next((error for start, error in _ERRORS.items() if message.startswith(start)), None)
