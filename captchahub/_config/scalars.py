"""Every kind of single value: how it is read, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs

from captchahub._config import scalar_readers as readers
from captchahub._config.json_schema import Schema, any_of, text
from captchahub._config.scalar_readers import MAX_AMOUNT, MAX_COUNT, NEVER, ReadContext
from captchahub._config.time_zones import read_time_zone
from captchahub._support.notation import (
    CertificatesPath,
    Count,
    Currency,
    Duration,
    FailureLimit,
    FilePath,
    HeaderText,
    HedgeDelay,
    Limit,
    Pause,
    Price,
    ProxyAddress,
    Share,
    ShareLimit,
    TimeZone,
    Weight,
)
from captchahub.provider import Secret
from captchahub.settings import Rate

__all__ = ["SCALARS", "Scalar"]


@attrs.frozen
class Scalar:
    """One kind of single value."""

    read: Callable[[object, ReadContext], object]
    """Returns the typed value. Raises :class:`captchahub._config.problems.InvalidValue`."""
    schema: Schema
    is_open: bool = False
    """Whether it can be any text, so that one from a reference may be a secret and is not shown."""


def _alone(read: Callable[[object], object]) -> Callable[[object, ReadContext], object]:
    """Return a reader that needs no context as one that takes it."""
    return lambda value, _context: read(value)


_DECIMAL = r"[0-9]+(\.[0-9]+)?"

_TIME = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)"

_ABOVE_ZERO = "(?=[0.]*[1-9])"

_COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_COUNT}

_SHARE = any_of({"type": "number", "minimum": 0, "maximum": 1}, text(r"[0-9]{1,3}(\.[0-9]{1,9})?\s?%"))

_PRICE = any_of({"type": "number", "minimum": 0, "maximum": MAX_AMOUNT}, text(_DECIMAL))

_AMOUNT = any_of({"type": "number", "minimum": -MAX_AMOUNT, "maximum": MAX_AMOUNT}, text("-?" + _DECIMAL))

_PATH: Schema = {"type": "string", "minLength": 1}

_SECRET: Schema = {
    "type": "string",
    "pattern": r"\S",
    "not": {"pattern": r"^\$[A-Za-z_][A-Za-z0-9_]*$"},
    "description": "A secret, best as ${env:NAME}.",
}

SCALARS: Mapping[Any, Scalar] = {
    str: Scalar(_alone(readers.read_text), {"type": "string"}, is_open=True),
    int: Scalar(_alone(readers.read_whole_number), {"type": "integer"}),
    float: Scalar(_alone(readers.read_number), {"type": "number"}),
    bool: Scalar(_alone(readers.read_flag), {"type": "boolean"}),
    Decimal: Scalar(_alone(readers.read_amount), _AMOUNT),
    Secret: Scalar(readers.read_secret, _SECRET, is_open=True),
    bytes: Scalar(_alone(readers.read_bytes), {"not": {}}),
    Path: Scalar(readers.read_path, _PATH, is_open=True),
    CertificatesPath: Scalar(readers.read_certificates_path, _PATH, is_open=True),
    FilePath: Scalar(readers.read_file_path, _PATH, is_open=True),
    Duration: Scalar(_alone(readers.read_duration), text(_ABOVE_ZERO + _TIME)),
    Pause: Scalar(_alone(readers.read_pause), text(_TIME)),
    Rate: Scalar(_alone(readers.read_rate), text(_ABOVE_ZERO + "[0-9]{1,9}/(second|minute|hour|day)")),
    HedgeDelay: Scalar(_alone(readers.read_hedge_delay), text(f"{_TIME}|p[1-9][0-9]?")),
    Weight: Scalar(_alone(readers.read_weight), {"type": "number", "minimum": 0, "maximum": MAX_COUNT}),
    Share: Scalar(_alone(readers.read_share), _SHARE),
    FailureLimit: Scalar(_alone(readers.read_failure_limit), any_of(_COUNT, text(NEVER))),
    ShareLimit: Scalar(_alone(readers.read_share_limit), any_of(_SHARE, {"const": NEVER})),
    Price: Scalar(_alone(readers.read_price), _PRICE),
    Limit: Scalar(_alone(readers.read_limit), _PRICE),
    Currency: Scalar(_alone(readers.read_currency), text("[A-Z]{3}")),
    TimeZone: Scalar(
        lambda value, context: read_time_zone(value, lambda: context.time_zones),
        {"type": "string", "minLength": 1},
        is_open=True,
    ),
    Count: Scalar(_alone(readers.read_count), _COUNT),
    HeaderText: Scalar(_alone(readers.read_header_text), text("[ -~]*[!-~][ -~]*"), is_open=True),
    ProxyAddress: Scalar(
        _alone(readers.read_proxy_address), text(r"https?://[!-\"$-.0->@-~]+/?"), is_open=True
    ),
}
"""By the type, or by the notation that a type names; see :mod:`captchahub._support.notation`."""
