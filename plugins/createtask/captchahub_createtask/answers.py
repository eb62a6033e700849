"""Functions that read parts of a reply: whether the call failed, the text, the cost, the balance."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from captchahub.tasks import TextSolution
from captchahub.words import fields_of, money, text_of

__all__ = ["cost", "credits_in", "is_failure", "solution", "word"]

# What an account can have besides money, at OMOcaptcha v2 and Anti-Captcha. The services differ in
# underscores.
_IN_KIND: Final = ("quantity", "voucherbalance", "captchacredits")


def word(value: object) -> str:
    """Return a text without white space at its ends; empty for anything that is not text."""
    return value.strip() if isinstance(value, str) else ""


def is_failure(answer: Mapping[str, object]) -> bool | None:
    """Whether the answer says that the call failed, or None if it does not say."""
    error_id = answer.get("errorId")
    if isinstance(error_id, (bool, int, float)):
        return error_id != 0
    if isinstance(error_id, str) and error_id.strip():
        return error_id.strip() != "0"
    return True if word(answer.get("errorCode")) else None


def solution(answer: Mapping[str, object]) -> TextSolution | None:
    """Return the text of a finished job, or None if there is none that can be read."""
    text = text_of(fields_of(answer.get("solution")).get("text"))
    return TextSolution(text) if text else None


def cost(answer: Mapping[str, object]) -> Decimal | None:
    """Return what the job cost, sent as a text or a number, or None if the answer does not say."""
    amount = money(answer.get("cost"))
    return None if amount is None or amount < 0 else amount


def credits_in(answer: Mapping[str, object]) -> dict[str, Decimal]:
    """Return what is left on an account besides money, by the service's names, without what is used up.

    Of CapSolver's ``packages``, those count that are active and have calls left or state no number of calls.
    """
    amounts = {name: money(given) for name, given in answer.items() if _plain(name) in _IN_KIND}
    found = {name: amount for name, amount in amounts.items() if amount is not None and amount > 0}
    packages = answer.get("packages")
    items: list[object] = packages if isinstance(packages, list) else []  # pyright: ignore[reportUnknownVariableType] - any JSON
    calls = sum((_calls_left(fields_of(item)) for item in items), Decimal(0))
    return found | ({"packages": calls} if calls > 0 else {})


def _calls_left(package: Mapping[str, object]) -> Decimal:
    if (
        not package
        or text_of(package.get("status")).lower() in ("0", "false")
        or package.get("status") is False
    ):
        return Decimal(0)
    if package.get("numberOfCalls") is None:
        return Decimal(1)
    return max(money(package["numberOfCalls"]) or Decimal(0), Decimal(0))


def _plain(name: str) -> str:
    return name.lower().replace("_", "")
