"""The emulation of the server for the sandbox, with the replies of ddddocr 1.6.1."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from captchahub.tasks import TextSolution
from captchahub.testing import Account, Answer, Call, Emulation, World, unpack_base64

__all__ = ["DdddocrEmulation"]

_FREE = Decimal(0)
_MAX_BYTES = 8 * 1024 * 1024


class DdddocrEmulation(Emulation):
    """A ddddocr server, with one call and no accounts."""

    token_key: ClassVar[str] = ""
    create_call: ClassVar[str] = "ocr"
    poll_call: ClassVar[str] = "ocr"
    calls: ClassVar[frozenset[str]] = frozenset({"ocr"})
    prices: ClassVar[Mapping[str, Decimal]] = {"image-to-text": _FREE}

    def answer(self, call: Call, world: World) -> Answer:
        """Return the server's reply."""
        if self.name_of(call) != "ocr":
            return Answer.json({"detail": "Not Found"}, 404)
        if call.method != "POST":
            return Answer.json({"detail": "Method Not Allowed"}, 405)
        picture = unpack_base64(call.json().get("image"))
        if not picture:
            return _invalid("Value error, image 不是合法的Base64字符串")
        if len(picture) > _MAX_BYTES:
            return _invalid("Value error, image 大小超过 8192KB 限制")
        job = world.create_job(Account("", _FREE), "image-to-text", picture, _FREE)
        solution = None if job is None else job.solution
        text = solution.text if isinstance(solution, TextSolution) else ""
        return Answer.json({"result": text, "probability": None, "processing_time": 0.0123})


def _invalid(message: str) -> Answer:
    return Answer.json({"detail": [{"type": "value_error", "loc": ["body", "image"], "msg": message}]}, 422)
