"""Functions that read the price list. A field that cannot be read becomes None."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from captchahub.provider import Service
from captchahub.words import Words, money, text_of
from captchahub_omocaptcha.dialect import TYPE_IDS, flag

__all__ = ["read_line"]

_KINDS: Final[Mapping[str, str]] = {type_id: kind for kind, type_id in TYPE_IDS.items()}
_SECONDS: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*s?")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%")


def read_line(line: Mapping[str, object], words: Words) -> Service | None:
    """Return one line of the list, or None if it has no id. ``words`` makes the texts fit to be shown."""
    type_id = _type_id(line.get("id"), words)
    if not type_id:
        return None
    name = line.get("name")
    return Service(
        id=type_id,
        name=(words.of(name) if isinstance(name, str) else "") or f"type {type_id}",
        kind=_KINDS.get(type_id),
        price=_price(line.get("price")),
        average_time=_seconds(line.get("avg_time")),
        success_rate=_share(line.get("avg_success")),
        is_open=flag(line.get("is_active")),
    )


def _type_id(value: object, words: Words) -> str:
    return "" if isinstance(value, float) else words.of(text_of(value))


def _price(value: object) -> Decimal | None:
    price = money(value)
    return None if price is None or price < 0 else price


def _seconds(value: object) -> float | None:
    found = _SECONDS.fullmatch(text_of(value).lower())
    return float(found[1]) if found else None


def _share(value: object) -> float | None:
    # Without the percent sign, 1 could mean all jobs or one in a hundred.
    found = _PERCENT.fullmatch(text_of(value))
    share = float(found[1]) / 100 if found else None
    return share if share is not None and share <= 1 else None
