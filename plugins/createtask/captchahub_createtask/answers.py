"""Reading the parts of an answer: whether the call failed, the text, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from captchahub.tasks import TextSolution
from captchahub.words import fields_of, money, text_of

__all__ = ["cost", "is_failure", "solution", "word"]


def word(value: object) -> str:
    """A text without blanks at its ends; empty for anything that is not text."""
    return value.strip() if isinstance(value, str) else ""


def is_failure(answer: Mapping[str, object]) -> bool | None:
    """Whether the answer says that the call failed; None where it does not say."""
    error_id = answer.get("errorId")
    if isinstance(error_id, (bool, int, float)):
        return error_id != 0
    if isinstance(error_id, str) and error_id.strip():
        return error_id.strip() != "0"
    return True if word(answer.get("errorCode")) else None


def solution(answer: Mapping[str, object]) -> TextSolution | None:
    """The text of a finished job, without blanks at its ends; None where there is none that can be read."""
    text = text_of(fields_of(answer.get("solution")).get("text"))
    return TextSolution(text) if text else None


def cost(answer: Mapping[str, object]) -> Decimal | None:
    """What the job cost, written as text or as a number; None where the answer does not say."""
    amount = money(answer.get("cost"))
    return None if amount is None or amount < 0 else amount
