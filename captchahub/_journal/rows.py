"""Jobs as rows of the table ``jobs``, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import attrs

from captchahub._policy.accounting import from_units
from captchahub.errors import JournalError
from captchahub.frames import WHOLE, Frame, frame_of
from captchahub.jobs import JobEntry, JobState
from captchahub.tasks import OptionValue

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
    label: str | None = None


@attrs.frozen
class JobFilter:
    """Which jobs are wanted: the newest ``limit`` of those that fit everything that is not None.

    ``since`` is when they were ordered at the earliest, in seconds since 1970.
    """

    state: JobState | None = None
    provider: str | None = None
    is_given: bool | None = None
    since: float = 0.0
    limit: int = 100


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
    "label",
    # What a query may add to the columns of the table.
    "held_until",
    "plugin",
    "address",
)

COLUMNS = ", ".join(_FIELDS[:-3])
"""The columns of ``jobs`` as :func:`read_entries` expects them."""

# How values are read that a database keeps in another type, unless they are NULL.
_READ: Mapping[str, Callable[[Any], object]] = {
    "state": JobState,
    "options": json.loads,
    "job_id": json.loads,
    "price": from_units,
    "charge": from_units,
    "answer": json.loads,
    "frame": lambda text: frame_of(json.loads(text)),
    "is_shared": bool,
    "is_by_hand": bool,
    "is_given": bool,
    # Account 0 stands for all that were written before the journal knew accounts.
    "account": lambda number: number or None,
}


def read_entries(rows: Iterable[Sequence[Any]]) -> list[JobEntry]:
    """Return the jobs of a query for :data:`COLUMNS`. Raises JournalError if a row is damaged.

    After these the query may have ``held_until``, ``plugin`` and ``address``.
    """
    return [_entry(row) for row in rows]


def _entry(row: Sequence[Any]) -> JobEntry:
    fields: dict[str, Any] = dict(zip(_FIELDS, row, strict=False))
    try:
        for name, read in _READ.items():
            if fields[name] is not None:
                fields[name] = read(fields[name])
    except (LookupError, TypeError, ValueError) as error:
        raise JournalError(f"job {row[0]} of the journal is damaged: {error}") from error
    # NULL stands for the whole picture.
    fields["frame"] = fields["frame"] or WHOLE
    return JobEntry(**fields)


def storable(text: str | None) -> str | None:
    """Return a service's text with lone surrogates escaped, which no database stores."""
    return None if text is None else text.encode(errors="backslashreplace").decode()
