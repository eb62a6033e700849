"""Jobs as rows of the table ``jobs``, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs

from captchahub._policy.accounting import from_units
from captchahub.errors import JournalError
from captchahub.frames import WHOLE, Frame, frame_of
from captchahub.jobs import JobEntry, JobState

if TYPE_CHECKING:
    from captchahub.tasks import OptionValue

__all__ = ["COLUMNS", "HELD_BY_LIVING", "NewJob", "read_entries", "storable"]

HELD_BY_LIVING = "EXISTS (SELECT 1 FROM owners WHERE owners.id = jobs.owner AND alive_until > :now)"
"""The SQL condition for a job that a living hub works on."""


@attrs.frozen
class NewJob:
    """A job that is about to be created at a provider. ``price`` is None if it is unknown."""

    submission: str
    provider: str
    kind: str
    fingerprint: str
    options: Mapping[str, OptionValue]
    price: Decimal | None
    price_source: str | None
    currency: str | None
    is_shared: bool
    frame: Frame = WHOLE


_FIELDS = (
    "id",
    "submission",
    "state",
    "provider",
    "kind",
    "fingerprint",
    "options",
    "job_id",
    "price",
    "price_source",
    "currency",
    "charge",
    "answer",
    "error",
    "owner",
    "is_shared",
    "is_by_hand",
    "ordered_at",
    "updated_at",
    "frame",
    "is_given",
    "account",
    # What a query may add to the columns of the table.
    "held_until",
    "plugin",
    "address",
)

COLUMNS = ", ".join(_FIELDS[:-3])
"""The columns of ``jobs`` as :func:`read_entries` expects them."""


def read_entries(rows: Iterable[Any]) -> list[JobEntry]:
    """Return the jobs of a query for :data:`COLUMNS`. Raises JournalError if a row is damaged.

    After these the query may have ``held_until``, ``plugin`` and ``address``.
    """
    return [_entry(row) for row in rows]


def _entry(row: Any) -> JobEntry:
    fields = dict(zip(_FIELDS, row, strict=False))
    price, frame = fields["price"], fields["frame"]
    try:
        fields["state"] = JobState(fields["state"])
        fields["options"] = json.loads(fields["options"])
        fields["job_id"] = _decoded(fields["job_id"])
        fields["price"] = None if price is None else from_units(price)
        fields["charge"] = from_units(fields["charge"])
        fields["answer"] = _decoded(fields["answer"])
        fields["frame"] = WHOLE if frame is None else frame_of(json.loads(frame))
        for flag in ("is_shared", "is_by_hand", "is_given"):
            fields[flag] = bool(fields[flag])
        # Account 0 stands for all that were written before the journal knew accounts.
        fields["account"] = fields["account"] or None
    except (LookupError, TypeError, ValueError) as error:
        raise JournalError(f"job {row[0]} of the journal is damaged: {error}") from error
    return JobEntry(**fields)


def _decoded(text: str | None) -> Any:  # as it was written
    return None if text is None else json.loads(text)


def storable(text: str | None) -> str | None:
    """Return a service's text with lone surrogates escaped, which no database stores."""
    return None if text is None else text.encode(errors="backslashreplace").decode()
